using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;

namespace Platform.Capabilities.Scripts;

/// <summary>The mode of our own executable that gives up everything and then becomes the sandboxed program.</summary>
/// <remarks>
/// Every host that offers scripts calls <see cref="TryRun"/> first thing in Main. Raw system calls only: identity, Landlock and seccomp apply to
/// the calling thread, and execve from that thread ends all others, so nothing managed runs between the filter and the program.
/// </remarks>
public static class SandboxLauncher
{
    /// <summary>The first argument that asks for the mode.</summary>
    public const string Mode = "__sandbox";

    /// <summary>Exit status where the sandbox could not be entered; the reason is on standard error.</summary>
    public const int FailedExitCode = 125;

    /// <returns>False if the arguments ask for something else. Does not return if they ask for the launcher.</returns>
    public static bool TryRun(string[] args)
    {
        if (args is not [Mode]) { return false; }

        try
        {
            LaunchPlan plan;
            using (var input = Console.OpenStandardInput()) { plan = LaunchPlan.Read(input); }
            Enter(plan);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidOperationException or PlatformNotSupportedException)
        {
            Console.Error.WriteLine(failure.Message);
        }

        Environment.Exit(FailedExitCode);
        return true;
    }

    private static unsafe void Enter(LaunchPlan plan)
    {
        var n = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => Numbers.X64,
            Architecture.Arm64 => Numbers.Arm64,
            _ => throw new PlatformNotSupportedException($"No sandbox for {RuntimeInformation.ProcessArchitecture}."),
        };
        var call = (delegate* unmanaged[Cdecl]<nint, nint, nint, nint, nint, nint, nint, nint>)
            NativeLibrary.GetExport(NativeLibrary.Load("libc", typeof(SandboxLauncher).Assembly, null), "syscall");

        foreach (var procs in plan.Joins) { File.WriteAllText(procs, Environment.ProcessId.ToString()); }

        // All memory that the last steps need is taken here and never given back: the process is about to be replaced.
        var program = Text(plan.Program);
        var folder = Text(plan.Folder);
        var arguments = TextArray(plan.Arguments);
        var environment = TextArray(plan.Environment);
        var filter = Bytes(plan.Filter);
        var filterHeader = Bytes(new byte[16]);
        *(ushort*)filterHeader = (ushort)(plan.Filter.Length / 8);
        *(nint*)(filterHeader + 8) = filter;
        var zeros = Bytes(new byte[64]);

        for (var i = 0; i < plan.Files.Count; i++)
        {
            var file = Check(call(n.MemfdCreate, Text("file"), 0, 0, 0, 0, 0), "memfd_create");
            var bytes = Bytes(plan.Files[i]);
            for (nint written = 0; written < plan.Files[i].Length;)
            {
                written += Check(call(n.Write, file, bytes + written, plan.Files[i].Length - written, 0, 0, 0), "write");
            }

            Check(call(n.Lseek, file, 0, 0, 0, 0, 0), "lseek");
            Check(call(n.Dup3, file, LaunchPlan.FirstFile + i, 0, 0, 0, 0), "dup3");
        }

        const int readWrite = 2, currentFolder = -100;
        var result = Check(call(n.Openat, currentFolder, Text(plan.Result), readWrite, 0, 0, 0), "open the result file");
        var nothing = Check(call(n.Openat, currentFolder, Text("/dev/null"), readWrite, 0, 0, 0), "open /dev/null");

        if (plan.Uid is { } owner)
        {
            // /dev/stdout opens the pipe anew, which asks for its owner.
            for (var descriptor = 1; descriptor <= 2; descriptor++) { Check(call(n.Fchown, descriptor, (nint)owner, (nint)owner, 0, 0, 0), "fchown"); }
        }

        // The runtime ignores SIGPIPE; an ignored signal stays ignored in the program that follows, and `yes | head` would not end.
        const int lastSignal = 64;
        for (var signal = 1; signal <= lastSignal; signal++) { _ = call(n.RtSigaction, signal, zeros, 0, 8, 0, 0); }
        Check(call(n.RtSigprocmask, 2, zeros, 0, 8, 0, 0), "rt_sigprocmask");

        Check(call(n.Setsid, 0, 0, 0, 0, 0, 0), "setsid");
        _ = call(n.Umask, 0x3f, 0, 0, 0, 0, 0);

        if (plan.Uid is { } uid)
        {
            Check(call(n.Setgroups, 0, 0, 0, 0, 0, 0), "setgroups");
            Check(call(n.Setresgid, (nint)uid, (nint)uid, (nint)uid, 0, 0, 0), "setresgid");
            Check(call(n.Setresuid, (nint)uid, (nint)uid, (nint)uid, 0, 0, 0), "setresuid");
        }

        const int setParentDeathSignal = 1, setNoNewPrivileges = 38, ambient = 47, clearAll = 4, kill = 9;
        _ = call(n.Prctl, ambient, clearAll, 0, 0, 0, 0);
        Check(call(n.Prctl, setNoNewPrivileges, 1, 0, 0, 0, 0), "no_new_privs");

        // After the change of identity, which clears it.
        Check(call(n.Prctl, setParentDeathSignal, kill, 0, 0, 0, 0), "pdeathsig");
        if (call(n.Getppid, 0, 0, 0, 0, 0, 0) != plan.Parent) { throw new InvalidOperationException("The server ended before the script began."); }

        Check(call(n.Chdir, folder, 0, 0, 0, 0, 0), $"enter {plan.Folder}");

        nint ruleset = -1;
        if (plan.Grants.Count > 0)
        {
            var version = Landlock.Abi();
            var attributes = Bytes(Landlock.Ruleset(version, out var size));
            ruleset = Check(call(Landlock.CreateRuleset, attributes, size, 0, 0, 0, 0), "landlock_create_ruleset");
            foreach (var grant in plan.Grants)
            {
                const int pathOnly = 0x20_0000, closeOnExec = 0x8_0000;
                var path = call(n.Openat, currentFolder, Text(grant.Path), pathOnly | closeOnExec, 0, 0, 0);
                if (path < 0) { continue; }
                Check(call(Landlock.AddRule, ruleset, 1, Bytes(Landlock.Rule(version, grant.Access, (int)path)), 0, 0, 0), $"landlock rule for {grant.Path}");
            }
        }

        var ceilings = Bytes(new byte[16 * Math.Max(1, plan.Ceilings.Count)]);
        for (var i = 0; i < plan.Ceilings.Count; i++)
        {
            *(ulong*)(ceilings + (i * 16)) = plan.Ceilings[i].Soft;
            *(ulong*)(ceilings + (i * 16) + 8) = plan.Ceilings[i].Hard;
            Check(call(n.Prlimit64, 0, plan.Ceilings[i].Resource, ceilings + (i * 16), 0, 0, 0), $"rlimit {plan.Ceilings[i].Resource}");
        }

        // From here on the runtime's own descriptors may be overwritten: this thread never returns to it, except to report a failure.
        Check(call(n.Dup3, nothing, 0, 0, 0, 0, 0), "stdin");
        if (result != LaunchPlan.ResultDescriptor) { Check(call(n.Dup3, result, LaunchPlan.ResultDescriptor, 0, 0, 0, 0), "result"); }
        const int closeOnExecFlag = 4;
        Check(call(n.CloseRange, 4, unchecked((nint)uint.MaxValue), closeOnExecFlag, 0, 0, 0), "close_range");
        for (var i = 0; i < plan.Files.Count; i++) { Check(call(n.Fcntl, LaunchPlan.FirstFile + i, 2, 0, 0, 0, 0), "fcntl"); }

        if (ruleset >= 0) { Check(call(Landlock.RestrictSelf, ruleset, 0, 0, 0, 0, 0), "landlock_restrict_self"); }
        const int setModeFilter = 1;
        if (plan.Filter.Length > 0 && call(n.Seccomp, setModeFilter, 0, filterHeader, 0, 0, 0) != 0)
        {
            _ = call(n.ExitGroup, FailedExitCode, 0, 0, 0, 0, 0);
        }

        _ = call(n.Execve, program, arguments, environment, 0, 0, 0);
        _ = call(n.ExitGroup, FailedExitCode, 0, 0, 0, 0, 0);
    }

    private static nint Check(nint answer, string what) =>
        answer >= 0 ? answer : throw new InvalidOperationException($"{what}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");

    private static unsafe nint Bytes(byte[] bytes)
    {
        var memory = (nint)NativeMemory.Alloc((nuint)Math.Max(1, bytes.Length));
        Marshal.Copy(bytes, 0, memory, bytes.Length);
        return memory;
    }

    private static nint Text(string text) => Bytes([.. Encoding.UTF8.GetBytes(text), 0]);

    private static unsafe nint TextArray(IReadOnlyList<string> texts)
    {
        var memory = (nint*)NativeMemory.Alloc((nuint)((texts.Count + 1) * sizeof(nint)));
        for (var i = 0; i < texts.Count; i++) { memory[i] = Text(texts[i]); }
        memory[texts.Count] = 0;
        return (nint)memory;
    }

    [SuppressMessage("Naming", "CA1812", Justification = "Made by its two instances.")]
    private sealed record Numbers(
        nint MemfdCreate, nint Write, nint Lseek, nint Dup3, nint Openat, nint Fchown, nint RtSigaction, nint RtSigprocmask, nint Setsid, nint Umask, nint Setgroups,
        nint Setresgid, nint Setresuid, nint Prctl, nint Getppid, nint Chdir, nint Prlimit64, nint CloseRange, nint Fcntl, nint Seccomp, nint Execve, nint ExitGroup)
    {
        public static readonly Numbers X64 = new(319, 1, 8, 292, 257, 93, 13, 14, 112, 95, 116, 119, 117, 157, 110, 80, 302, 436, 72, 317, 59, 231);
        public static readonly Numbers Arm64 = new(279, 64, 62, 24, 56, 55, 134, 135, 157, 166, 159, 149, 147, 167, 173, 49, 261, 436, 25, 277, 221, 94);
    }
}
