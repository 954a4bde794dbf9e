using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Win32.SafeHandles;
using Platform.Domain.Daemons;

namespace Platform.Capabilities.Scripts;

/// <summary>Runs scripts under the strongest isolation that this machine offers, and never without one. One per process; see docs/sandbox.md.</summary>
public sealed partial class ScriptSandbox(ScriptSandboxOptions options) : IScriptSandbox, IDisposable
{
    /// <summary>A script is read by a person before it is approved; this is ten thousand lines.</summary>
    public const int ScriptBytes = 1 << 20;

    /// <summary>The input lies in memory three times on its way in.</summary>
    public const int InputBytes = 16 << 20;

    /// <summary>The kernel refuses a single string of 128 KiB; together they share the stack.</summary>
    public const int EnvironmentValueBytes = 64 << 10;

    public const int EnvironmentBytes = 512 << 10;

    public const int EnvironmentNames = 256;

    /// <summary>By signals 2 and 3, as a shell tells it.</summary>
    private const int EndedByInterrupt = 128 + 2;
    private const int EndedByQuit = 128 + 3;

    /// <summary>After everything was killed the pipes close at once; a machine under load gets this long.</summary>
    private static readonly TimeSpan Aftermath = TimeSpan.FromSeconds(20);

    /// <summary>Held by the script while it runs; the kernel and the runtimes ask for more than this nowhere.</summary>
    private const int OpenFiles = 512;

    private static readonly string[] Names = ["sh", "bash", "python", "node"];

    private readonly SemaphoreSlim slots = new(options.Concurrency);
    private readonly Stack<uint> uids = new(Enumerable.Range(options.FirstUid, options.Concurrency).Reverse().Select(uid => (uint)uid));
    private readonly Watchdog watchdog = new();
    private readonly Spawner spawner = new();
    private readonly SemaphoreSlim choosing = new(1);
    private SandboxProbe? probe;

    private static bool Root => Environment.IsPrivilegedProcess;

    public void Dispose()
    {
        watchdog.Dispose();
        spawner.Dispose();
        slots.Dispose();
        choosing.Dispose();
    }

    /// <summary>Tries each layer for real, once; later calls give the same answer.</summary>
    public async Task<SandboxProbe> Probe(CancellationToken cancellation)
    {
        await choosing.WaitAsync(cancellation);
        try { return probe ??= await Examine(cancellation); }
        finally { choosing.Release(); }
    }

    public async Task<ScriptOutcome> Run(ScriptJob job, CancellationToken cancellation)
    {
        var interpreter = Checked(job);
        var found = await Probe(cancellation);
        if (found.Tier is not { } tier)
        {
            throw new SandboxUnavailableException("No script runs here without isolation. " +
                string.Join(' ', found.Layers.Where(layer => layer.State == LayerState.Missing).Select(layer => layer.Sentence)));
        }

        return await Run(job, interpreter, tier, cancellation);
    }

    private async Task<ScriptOutcome> Run(ScriptJob job, Interpreter interpreter, SandboxTier tier, CancellationToken cancellation) =>
        await TryRun(job, interpreter, tier, cancellation)
        ?? await TryRun(job, interpreter, tier, cancellation)
        ?? throw new SandboxUnavailableException("The sandbox was interrupted twice before the script began.");

    /// <returns>Null: a terminal's Ctrl-C, which goes to all of its foreground processes and was meant for us, hit the launcher before it had left them.</returns>
    private async Task<ScriptOutcome?> TryRun(ScriptJob job, Interpreter interpreter, SandboxTier tier, CancellationToken cancellation)
    {
        await slots.WaitAsync(cancellation);
        uint? uid = null;
        string? folder = null;
        Process? warden = null;
        try
        {
            if (Root) { lock (uids) { uid = uids.Pop(); } }
            var began = Stopwatch.GetTimestamp();

            using var result = MemoryFile();
            if (tier == SandboxTier.Landlock) { folder = JobFolder.Create(options.JobRoot, uid); }
            var cgroup = Cgroup.Create(options.CgroupFolder, job.Limits);
            try
            {
                var plan = tier == SandboxTier.Bubblewrap
                    ? InNamespaces(job, interpreter, uid, result, cgroup)
                    : InFolder(job, interpreter, uid, result, cgroup, folder!);

                var givenBytes = folder is null ? 0 : new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
                using var process = await spawner.Start(Launcher());
                var script = new RunningScript(tier, job.Limits, result, folder, givenBytes, cgroup);
                script.Began(process.Id);

                // When the server is killed, the script's shell is told by the kernel; its children are not. This shell outlives us for an instant and ends the group.
                if (tier == SandboxTier.Landlock) { warden = await spawner.Start(Warden(process.Id)); }

                watchdog.Add(script);
                using var wall = new CancellationTokenSource(job.Limits.Wall);
                using var wallEnds = wall.Token.Register(() => script.End(ScriptLimitHit.Wall));
                using var cancelled = cancellation.Register(() => script.End(ScriptLimitHit.None));
                byte[] output, error;
                try
                {
                    var reading = Task.WhenAll(
                        Capped(process.StandardOutput.BaseStream, job.Limits.OutputBytes, script),
                        Capped(process.StandardError.BaseStream, job.Limits.OutputBytes, script));
                    await Tell(process, plan);
                    await process.WaitForExitAsync(CancellationToken.None);
                    script.Sweep();
                    cgroup?.Kill();
                    var both = await reading.WaitAsync(Aftermath, CancellationToken.None);
                    (output, error) = (both[0], both[1]);
                }
                finally
                {
                    if (!process.HasExited) { script.End(ScriptLimitHit.None); }
                    script.Sweep();
                    watchdog.Remove(script);
                }

                cancellation.ThrowIfCancellationRequested();
                if (!script.Started() && script.Hit == ScriptLimitHit.None)
                {
                    if (process.ExitCode is EndedByInterrupt or EndedByQuit) { return null; }
                    throw new SandboxUnavailableException($"The sandbox could not be entered (exit {process.ExitCode}): {HostileText.Clean(error).Trim()}");
                }

                return Outcome(job, tier, process.ExitCode, output, error, result, script, cgroup, Stopwatch.GetElapsedTime(began));
            }
            finally
            {
                cgroup?.Delete();
            }
        }
        finally
        {
            if (warden is not null)
            {
                warden.Kill();
                await warden.WaitForExitAsync(CancellationToken.None);
                warden.Dispose();
            }

            if (folder is not null) { JobFolder.Delete(folder); }
            if (uid is { } free) { lock (uids) { uids.Push(free); } }
            slots.Release();
        }
    }

    private static ScriptOutcome Outcome(
        ScriptJob job, SandboxTier tier, int exitCode, byte[] output, byte[] error, SafeFileHandle resultFile, RunningScript script, Cgroup? cgroup, TimeSpan elapsed)
    {
        var report = Report.Read(resultFile, job.Limits.OutputBytes);
        var cpu = report.Cpu > script.Cpu ? report.Cpu : script.Cpu;
        const int killedByCpu = 128 + 24, killedByFileSize = 128 + 25;
        var hit =
            script.Hit != ScriptLimitHit.None ? script.Hit
            : report.Overlong ? ScriptLimitHit.Output
            : cgroup?.RanOutOfMemory() == true ? ScriptLimitHit.Memory
            : exitCode == killedByFileSize ? ScriptLimitHit.FileSize
            : exitCode == killedByCpu || cpu > job.Limits.CpuTime ? ScriptLimitHit.CpuTime
            : ScriptLimitHit.None;

        var standardError = HostileText.Clean(error);
        JsonElement value;
        if (report.Result.Length == 0 || report.Overlong)
        {
            var text = HostileText.Clean(output);
            value = HostileText.Parse(output) is { ValueKind: JsonValueKind.Object or JsonValueKind.Array } json
                ? json
                : HostileText.AsJsonString(text.EndsWith('\n') ? text[..^1] : text);
        }
        else if (HostileText.Parse(report.Result) is { } json)
        {
            value = json;
        }
        else
        {
            const int dataError = 65;
            exitCode = exitCode == 0 ? dataError : exitCode;
            value = HostileText.AsJsonString(HostileText.Clean(report.Result.Span));
            standardError += $"\nThe file $DAEMON_OUTPUT is not JSON (at most {HostileText.JsonDepth} levels deep).";
        }

        return new ScriptOutcome(exitCode, value, standardError, cpu, elapsed, Math.Max(script.PeakBytes, cgroup?.PeakBytes() ?? 0), hit,
            tier == SandboxTier.Bubblewrap ? "bubblewrap" : "landlock");
    }

    private static async Task Tell(Process process, LaunchPlan plan)
    {
        try
        {
            using var memory = new MemoryStream();
            plan.Write(memory);
            memory.Position = 0;
            await using var input = process.StandardInput.BaseStream;
            await memory.CopyToAsync(input);
        }
        catch (IOException)
        {
            // The launcher ended before it had read everything: it was killed, or says why on its standard error.
        }
    }

    private static async Task<byte[]> Capped(Stream stream, long limit, RunningScript script)
    {
        using var kept = new MemoryStream();
        var buffer = new byte[32 << 10];
        while (await stream.ReadAsync(buffer) is > 0 and var read)
        {
            var room = (int)Math.Min(read, limit - kept.Length);
            await kept.WriteAsync(buffer.AsMemory(0, room));
            if (room < read) { script.End(ScriptLimitHit.Output); }
        }

        return kept.ToArray();
    }

    private ProcessStartInfo Launcher()
    {
        var info = Plain(options.Launcher[0]);
        foreach (var argument in options.Launcher.Skip(1)) { info.ArgumentList.Add(argument); }
        info.ArgumentList.Add(SandboxLauncher.Mode);
        info.Environment["DOTNET_EnableDiagnostics"] = "0";
        info.Environment["DOTNET_TieredPGO"] = "0";
        info.Environment["DOTNET_gcServer"] = "0";
        info.Environment["DOTNET_gcConcurrent"] = "0";
        if (ScriptSandboxOptions.DotnetRoot() is { } root) { info.Environment["DOTNET_ROOT"] = root; }
        return info;
    }

    private static ProcessStartInfo Warden(int group)
    {
        var info = Plain("/bin/sh");
        foreach (var argument in (string[])["-c", "trap '' INT QUIT; read -r _; kill -s KILL -- \"-$1\"", "sh", group.ToString(CultureInfo.InvariantCulture)]) { info.ArgumentList.Add(argument); }
        return info;
    }

    private static ProcessStartInfo Plain(string program)
    {
        var info = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = "/",
        };
        info.Environment.Clear();
        return info;
    }

    /// <summary>Memory that is a file: the script's shell writes the result there, and no path of ours leads into the sandbox.</summary>
    private static SafeFileHandle MemoryFile()
    {
        const uint closeOnExec = 1;
        var descriptor = MemfdCreate("result", closeOnExec);
        return descriptor >= 0
            ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw new IOException($"memfd_create: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    private static Interpreter Checked(ScriptJob job)
    {
        if (!Names.Contains(job.Runtime)) { throw new ScriptRefusedException("script.unknown-runtime", $"The runtime is one of {string.Join(", ", Names)}, not {job.Runtime}."); }

        if (job.Limits is not { CpuTime.Ticks: > 0, Wall.Ticks: > 0, MemoryBytes: > 0, Processes: > 0, FileBytes: > 0, OutputBytes: > 0 and <= int.MaxValue / 2 })
        {
            throw new ScriptRefusedException("script.limits", "Every limit is more than zero, and the output's below a gibibyte.");
        }

        if (Encoding.UTF8.GetByteCount(job.Script) > ScriptBytes) { throw new ScriptRefusedException("script.too-large", $"The script is longer than {ScriptBytes} bytes."); }

        var total = 0;
        if (job.Environment.Count > EnvironmentNames) { throw new ScriptRefusedException("script.environment", $"More than {EnvironmentNames} environment values."); }
        foreach (var (name, value) in job.Environment)
        {
            if (!EnvironmentName().IsMatch(name)) { throw new ScriptRefusedException("script.environment", $"{name} is not a name for an environment value."); }
            if (Reserved().IsMatch(name)) { throw new ScriptRefusedException("script.environment", $"{name} changes how programs are found or loaded and cannot be set."); }
            if (value.Contains('\0')) { throw new ScriptRefusedException("script.environment", $"The value of {name} contains a NUL."); }
            var bytes = Encoding.UTF8.GetByteCount(value);
            total += bytes + name.Length;
            if (bytes > EnvironmentValueBytes || total > EnvironmentBytes) { throw new ScriptRefusedException("script.too-large", $"The environment is too large at {name}: use $DAEMON_INPUT."); }
        }

        return Interpreter.Find(job.Runtime)
            ?? throw new ScriptRefusedException("script.runtime-missing", $"No {job.Runtime} under /usr/bin or /usr/local/bin on this machine.");
    }

    private static byte[] Input(ScriptJob job)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory))
        {
            if (job.Input.ValueKind == JsonValueKind.Undefined) { writer.WriteNullValue(); } else { job.Input.WriteTo(writer); }
        }

        return memory.Length <= InputBytes ? memory.ToArray() : throw new ScriptRefusedException("script.too-large", $"The input is longer than {InputBytes} bytes.");
    }

    /// <summary>
    /// The shell around the script. "1": the sandbox is up. Then the script without descriptor 3; then its exit status, the times, and the result file as far
    /// as it is a plain file, all read with the script's own rights. A script can forge this report; it would only lie about itself.
    /// </summary>
    private const string Around =
        "printf 1 >&3; [ \"$1\" = 0 ] || ulimit -u \"$1\" 2>/dev/null || ulimit -p \"$1\" 2>/dev/null; cap=$2; shift 2; " +
        "\"$@\" 3>&- </dev/null; rc=$?; printf '%s\\n' \"$rc\" >&3; times >&3; printf '=\\n' >&3; " +
        "[ -f \"$DAEMON_OUTPUT\" ] && [ ! -L \"$DAEMON_OUTPUT\" ] && head -c \"$cap\" \"$DAEMON_OUTPUT\" >&3; exit $rc";

    private static IEnumerable<string> Shell(ScriptJob job, Interpreter interpreter, string script, bool limitProcesses) =>
    [
        "sh", "-c", Around, "sh",
        limitProcesses ? Threads(job.Limits).ToString(CultureInfo.InvariantCulture) : "0",
        (job.Limits.OutputBytes + 1).ToString(CultureInfo.InvariantCulture),
        interpreter.Path, .. interpreter.Arguments, script,
    ];

    /// <summary>RLIMIT_NPROC counts threads, and node has a dozen of them; the watchdog counts processes. This one only has to stop a bomb between two looks.</summary>
    private static int Threads(ScriptLimits limits) => (int)Math.Min(16L * limits.Processes, 16_384) + 8;

    private static List<(string Name, string Value)> Variables(ScriptJob job, string folder, string temporary)
    {
        List<(string, string)> variables =
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", folder), ("TMPDIR", temporary), ("LANG", "C.UTF-8"),
            ("DAEMON_INPUT", $"{folder}/input.json"), ("DAEMON_OUTPUT", $"{folder}/output.json"),
        ];
        variables.AddRange(job.Environment.Select(pair => (pair.Key, pair.Value)));
        return variables;
    }

    /// <summary>A uid that the job shares with the server has these tasks already, and the kernel counts them in.</summary>
    private static int Others(uint? uid) => uid is null ? ProcessTrees.TasksOfOurUser() : 0;

    /// <param name="others">Tasks of the job's uid that are not the job's; null where the limit is set inside the namespace.</param>
    private static List<(int Resource, ulong Soft, ulong Hard)> Ceilings(ScriptLimits limits, int? others, long given)
    {
        const int cpu = 0, fileSize = 1, data = 2, core = 4, processes = 6, files = 7, lockedMemory = 8, messageQueues = 12;
        var seconds = (ulong)Math.Ceiling(limits.CpuTime.TotalSeconds);
        List<(int, ulong, ulong)> ceilings =
        [
            // SIGXCPU at the first tells why it ended; SIGKILL at the second.
            (cpu, seconds, seconds + 1),
            // bubblewrap copies what it is given into the job's folder under these ceilings.
            Both(fileSize, (ulong)Math.Max(given, Math.Max(limits.FileBytes, limits.OutputBytes + 4096))),
            // Not the limit, which is the tree's: a backstop for one process between two looks, wide enough for what node and threads reserve.
            Both(data, (ulong)(limits.MemoryBytes * 2) + (1UL << 30)),
            Both(core, 0), Both(files, OpenFiles), Both(lockedMemory, 64 << 10), Both(messageQueues, 0),
        ];
        if (others is { } count) { ceilings.Add(Both(processes, (ulong)(count + Threads(limits)))); }
        return ceilings;

        static (int, ulong, ulong) Both(int resource, ulong value) => (resource, value, value);
    }

    private static LaunchPlan InNamespaces(ScriptJob job, Interpreter interpreter, uint? uid, SafeFileHandle result, Cgroup? cgroup)
    {
        const int arguments = LaunchPlan.FirstFile, filter = arguments + 1, script = arguments + 2, input = arguments + 3, passwd = arguments + 4, group = arguments + 5;
        var content = Encoding.UTF8.GetBytes(job.Script);
        var value = Input(job);
        var size = Math.Max(job.Limits.FileBytes * RunningScript.FolderFactor, 1 << 20) + content.Length + value.Length;
        List<string> setup =
        [
            "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv",
            "--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL",
            "--ro-bind", "/usr", "/usr",
        ];
        foreach (var folder in (string[])["/bin", "/sbin", "/lib", "/lib32", "/lib64"])
        {
            if (new DirectoryInfo(folder) is not { Exists: true } there) { continue; }
            setup.AddRange(there.LinkTarget is { } target ? ["--symlink", target, folder] : ["--ro-bind", folder, folder]);
        }

        foreach (var file in SystemFiles) { setup.AddRange(["--ro-bind-try", file, file]); }
        string Sized(long bytes) => bytes.ToString(CultureInfo.InvariantCulture);
        setup.AddRange(
        [
            "--file", $"{passwd}", "/etc/passwd", "--file", $"{group}", "/etc/group", "--chmod", "0755", "/etc", "--chmod", "0444", "/etc/passwd", "--chmod", "0444", "/etc/group",
            "--proc", "/proc", "--dev", "/dev",
            "--perms", "0700", "--size", Sized(size), "--tmpfs", "/dev/shm",
            "--perms", "0700", "--size", Sized(size), "--tmpfs", "/job",
            "--perms", "0700", "--size", Sized(size), "--tmpfs", "/tmp",
            "--perms", "0600", "--file", $"{script}", $"/job/{interpreter.FileName}", "--perms", "0600", "--file", $"{input}", "/job/input.json",
            "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/job", "--seccomp", $"{filter}",
        ]);
        foreach (var variable in Variables(job, "/job", "/tmp")) { setup.AddRange(["--setenv", variable.Name, variable.Value]); }

        return new LaunchPlan(
            Environment.ProcessId, uid, PathOf(result), "/", cgroup?.ProcsFiles ?? [], Ceilings(job.Limits, uid is null ? null : 0, Math.Max(content.Length, value.Length)),
            [
                Encoding.UTF8.GetBytes(string.Concat(setup.Select(argument => argument + "\0"))),
                SeccompProgram.Build(RuntimeInformation.ProcessArchitecture, SeccompScope.Namespaces),
                content,
                value,
                "job:x:1000:1000::/job:/bin/sh\n"u8.ToArray(),
                "job:x:1000:\n"u8.ToArray(),
            ],
            [], [], Bubblewrap ?? throw new SandboxUnavailableException("bubblewrap is gone."),
            ["bwrap", "--args", $"{arguments}", "--", .. Shell(job, interpreter, $"/job/{interpreter.FileName}", limitProcesses: uid is null)],
            []);
    }

    private static LaunchPlan InFolder(ScriptJob job, Interpreter interpreter, uint? uid, SafeFileHandle result, Cgroup? cgroup, string folder)
    {
        JobFolder.Put(folder, interpreter.FileName, Encoding.UTF8.GetBytes(job.Script), uid);
        JobFolder.Put(folder, "input.json", Input(job), uid);
        var temporary = JobFolder.Temporary(folder, uid);

        return new LaunchPlan(
            Environment.ProcessId, uid, PathOf(result), folder, cgroup?.ProcsFiles ?? [], Ceilings(job.Limits, Others(uid), given: 0), [],
            [
                new("/usr", LandlockAccess.ReadFolder),
                .. from top in (string[])["/bin", "/sbin", "/lib", "/lib32", "/lib64"]
                   where new DirectoryInfo(top) is { Exists: true, LinkTarget: null }
                   select new LandlockGrant(top, LandlockAccess.ReadFolder),
                .. from path in SystemFiles
                   where Path.Exists(path)
                   select new LandlockGrant(path, Directory.Exists(path) ? LandlockAccess.ReadFolder : LandlockAccess.ReadFile),
                .. from device in (string[])["null", "zero", "full", "random", "urandom"]
                   where Path.Exists($"/dev/{device}")
                   select new LandlockGrant($"/dev/{device}", LandlockAccess.Device),
                new(folder, LandlockAccess.WriteFolder),
            ],
            SeccompProgram.Build(RuntimeInformation.ProcessArchitecture, uid is null ? SeccompScope.SharedUid : SeccompScope.OwnUid),
            "/bin/sh",
            [.. Shell(job, interpreter, $"{folder}/{interpreter.FileName}", limitProcesses: false)],
            [.. Variables(job, folder, temporary).Select(pair => $"{pair.Name}={pair.Value}")]);
    }

    /// <summary>What programs under /usr need from /etc; nothing here names the machine, its users or its network.</summary>
    private static readonly string[] SystemFiles = ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/ssl/openssl.cnf"];

    private static string? Bubblewrap => ((string[])["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]).FirstOrDefault(File.Exists);

    private static string PathOf(SafeFileHandle file) => $"/proc/{Environment.ProcessId}/fd/{file.DangerousGetHandle()}";

    private async Task<SandboxProbe> Examine(CancellationToken cancellation)
    {
        List<SandboxLayer> layers = [];
        if (!OperatingSystem.IsLinux() || !SeccompProgram.Knows(RuntimeInformation.ProcessArchitecture))
        {
            return new SandboxProbe(null, [new("machine", LayerState.Missing, $"Scripts need Linux on x86-64 or arm64; this is {RuntimeInformation.OSDescription} on {RuntimeInformation.ProcessArchitecture}.")]);
        }

        JobFolder.DeleteStale(options.JobRoot);
        SandboxTier? tier = null;

        if (options.Tier is null or SandboxTier.Bubblewrap)
        {
            var why = Bubblewrap is null ? "bubblewrap is not installed: apt install bubblewrap." : await Try(SandboxTier.Bubblewrap, cancellation);
            layers.Add(why is null
                ? new("namespaces", LayerState.Works, $"{Bubblewrap} gives each script namespaces of its own.")
                : new("namespaces", LayerState.Missing, Bubblewrap is null ? why :
                    $"{Bubblewrap} does not work here: {why} It needs version 0.8 and user namespaces for unprivileged users (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a container: --security-opt seccomp=unconfined)."));
            if (why is null) { tier = SandboxTier.Bubblewrap; }
        }

        var abi = Landlock.Abi();
        var landlock = abi switch
        {
            0 => "The kernel has no Landlock, or it is switched off (boot parameter lsm=..., kernel 5.13 or newer).",
            < Landlock.AbiWithScopes when !Root => $"Landlock ABI {abi} does not keep a script from sending signals to its own user's processes: run the server as root, which gives each script a uid, or use kernel 6.12.",
            _ => null,
        };
        if (landlock is null && tier is null && options.Tier is null or SandboxTier.Landlock && landlock is null)
        {
            landlock = await Try(SandboxTier.Landlock, cancellation);
            if (landlock is null) { tier ??= SandboxTier.Landlock; }
        }

        layers.Add(landlock is null
            ? new("landlock", LayerState.Works, $"Landlock ABI {abi}.")
            : new("landlock", tier is null ? LayerState.Missing : LayerState.Weaker, landlock));

        layers.Add(new("seccomp", tier is null ? LayerState.Missing : LayerState.Works,
            tier is null ? "No tier works, so no filter was entered." : "The system call filter was entered in a trial run."));
        layers.Add(Root
            ? new("identity", LayerState.Works, $"Each script runs as a uid of its own, {options.FirstUid} to {options.FirstUid + options.Concurrency - 1}.")
            : new("identity", LayerState.Weaker, "The server is not root: scripts have its uid, kept apart by namespaces or Landlock only."));
        layers.Add(Cgroup.Describe(options.CgroupFolder));
        foreach (var name in Names)
        {
            layers.Add(Interpreter.Find(name) is { } interpreter
                ? new($"runtime {name}", LayerState.Works, $"{interpreter.Path}.")
                : new($"runtime {name}", LayerState.Weaker, $"{name} is not installed under /usr: scripts for it are refused."));
        }

        return new SandboxProbe(tier, layers);
    }

    /// <returns>Null if a script ran under this tier, else why not.</returns>
    private async Task<string?> Try(SandboxTier tier, CancellationToken cancellation)
    {
        var limits = ScriptLimits.Default with { Wall = TimeSpan.FromSeconds(30) };
        var job = new ScriptJob("sh", "echo up", new Dictionary<string, string>(), default, limits);
        try
        {
            var outcome = await Run(job, Interpreter.Find("sh") ?? new Interpreter("/bin/sh", [], "script.sh"), tier, cancellation);
            return outcome.ExitCode == 0 && outcome.Result.ValueKind == JsonValueKind.String && outcome.Result.GetString() == "up"
                ? null
                : $"a trial script ended with {outcome.ExitCode} ({outcome.LimitHit}): {outcome.StandardError.Trim()}";
        }
        catch (Exception failure) when (failure is SandboxUnavailableException or IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            return failure.Message;
        }
    }

    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int MemfdCreate(string name, uint flags);

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]{0,127}\\z")]
    private static partial Regex EnvironmentName();

    /// <summary>The loader, the shells and the runtimes act on these before the script's first line.</summary>
    [GeneratedRegex("^(LD_.*|PATH|IFS|ENV|BASH.*|SHELLOPTS|PS4|PROMPT_COMMAND|CDPATH|NODE_.*|PYTHON.*|PERL.*|RUBY.*|JAVA_.*|DOTNET_.*|GLIBC_TUNABLES|MALLOC_.*|GCONV_PATH|LOCPATH|NLSPATH|OPENSSL_.*|HOME|TMPDIR|LANG|LC_ALL|DAEMON_INPUT|DAEMON_OUTPUT)\\z")]
    private static partial Regex Reserved();
}

/// <param name="Path">Resolved, under /usr: a folder that a script could have written is never on it.</param>
internal sealed record Interpreter(string Path, IReadOnlyList<string> Arguments, string FileName)
{
    private static readonly string[] BashArguments = ["--noprofile", "--norc"];

    /// <summary>No PYTHON* variables, no user's packages, no modules from the script's folder.</summary>
    private static readonly string[] PythonArguments = ["-I"];

    public static Interpreter? Find(string runtime)
    {
        var (program, file, arguments) = runtime switch
        {
            "sh" => ("sh", "script.sh", Array.Empty<string>()),
            "bash" => ("bash", "script.sh", BashArguments),
            "python" => ("python3", "script.py", PythonArguments),
            "node" => ("node", "script.js", []),
            _ => throw new ArgumentOutOfRangeException(nameof(runtime), runtime, "Not a runtime."),
        };
        foreach (var folder in (string[])["/usr/bin", "/usr/local/bin"])
        {
            var path = System.IO.Path.Combine(folder, program);
            if (!File.Exists(path)) { continue; }
            var real = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
            if (real.StartsWith("/usr/", StringComparison.Ordinal)) { return new Interpreter(path, arguments, file); }
        }

        return null;
    }
}

/// <summary>What the script's shell wrote to descriptor 3. Everything in it may be forged by the script.</summary>
internal readonly record struct Report(TimeSpan Cpu, ReadOnlyMemory<byte> Result, bool Overlong)
{
    private const int HeaderBytes = 1024;

    public static Report Read(SafeFileHandle file, long resultBytes)
    {
        var bytes = new byte[resultBytes + HeaderBytes];
        var length = 0;
        while (RandomAccess.Read(file, bytes.AsSpan(length), length) is > 0 and var read) { length += read; }
        var everything = bytes.AsMemory(0, length);
        var end = everything.Span.IndexOf("\n=\n"u8);
        if (end is < 0 or > HeaderBytes) { return new Report(TimeSpan.Zero, default, false); }

        // The last line of `times` is that of the children: user, then system, as 0m0.010000s.
        var lines = Encoding.ASCII.GetString(everything.Span[..end]).Split('\n');
        var cpu = lines[^1].Split(' ').Aggregate(TimeSpan.Zero, (sum, part) => sum + Time(part));
        var result = everything[(end + 3)..];
        return new Report(cpu, result, result.Length > resultBytes);
    }

    private static TimeSpan Time(string text) =>
        text.TrimEnd('s').Split('m') is [var minutes, var seconds]
        && int.TryParse(minutes, NumberStyles.None, CultureInfo.InvariantCulture, out var whole)
        && double.TryParse(seconds, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var rest) && rest < 60
            ? new TimeSpan(0, 0, whole, 0) + TimeSpan.FromSeconds(rest)
            : TimeSpan.Zero;
}
