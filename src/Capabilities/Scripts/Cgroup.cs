using System.Globalization;
using System.Security.Cryptography;
using Platform.Domain.Daemons;

namespace Platform.Capabilities.Scripts;

/// <summary>The kernel's own accounting for one job: a folder under a delegated v2 cgroup, or one in each v1 hierarchy that we may write.</summary>
internal sealed class Cgroup
{
    private readonly List<string> folders = [];
    private readonly string? memory;
    private readonly bool second;

    private Cgroup(string? delegated, ScriptLimits limits)
    {
        try
        {
            (memory, second) = Fill(delegated, limits);
        }
        catch
        {
            Delete();
            throw;
        }
    }

    private (string? Memory, bool Second) Fill(string? delegated, ScriptLimits limits)
    {
        var name = $"platform-job-{RandomNumberGenerator.GetHexString(16, lowercase: true)}";
        var bytes = limits.MemoryBytes.ToString(CultureInfo.InvariantCulture);
        // Threads count here as they do for RLIMIT_NPROC.
        var tasks = (16L * limits.Processes).ToString(CultureInfo.InvariantCulture);
        if (delegated is not null)
        {
            var folder = Make(delegated, name);
            Set(folder, "memory.max", bytes);
            TrySet(folder, "memory.swap.max", "0");
            TrySet(folder, "memory.oom.group", "1");
            Set(folder, "pids.max", tasks);
            return (folder, true);
        }

        string? first = null;
        if (Own("memory") is { } memoryParent)
        {
            first = Make(memoryParent, name);
            Set(first, "memory.limit_in_bytes", bytes);
            TrySet(first, "memory.memsw.limit_in_bytes", bytes);
        }

        if (Own("pids") is { } pidsParent) { Set(Make(pidsParent, name), "pids.max", tasks); }
        return (first, false);
    }

    public IReadOnlyList<string> ProcsFiles => [.. folders.Select(folder => Path.Combine(folder, "cgroup.procs"))];

    /// <returns>Null where there is none to be had: rlimits and the watchdog remain.</returns>
    public static Cgroup? Create(string? delegated, ScriptLimits limits)
    {
        try
        {
            var made = new Cgroup(delegated, limits);
            return made.folders.Count > 0 ? made : null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException && delegated is null)
        {
            return null;
        }
    }

    public static SandboxLayer Describe(string? delegated) =>
        delegated is not null ? new("limits", LayerState.Works, $"The cgroup v2 folder {delegated}, rlimits and the watchdog.")
        : Own("memory") is not null && Own("pids") is not null ? new("limits", LayerState.Works, "cgroup v1 for memory and processes, rlimits and the watchdog.")
        : new("limits", LayerState.Weaker, "No cgroup that we may write: rlimits and a watchdog that looks at /proc. Delegate one (systemd: Delegate=yes) to have the kernel itself hold the line.");

    public void Kill()
    {
        if (second && memory is not null) { TrySet(memory, "cgroup.kill", "1"); }
    }

    public bool RanOutOfMemory()
    {
        if (memory is null) { return false; }
        try
        {
            return File.ReadLines(Path.Combine(memory, second ? "memory.events" : "memory.oom_control"))
                .Any(line => line.Split(' ') is ["oom_kill", var kills] && kills != "0");
        }
        catch (IOException)
        {
            return false;
        }
    }

    public long PeakBytes()
    {
        if (memory is null) { return 0; }
        try { return long.Parse(File.ReadAllText(Path.Combine(memory, second ? "memory.peak" : "memory.max_usage_in_bytes")), CultureInfo.InvariantCulture); }
        catch (IOException) { return 0; }
    }

    /// <summary>A group whose last process is still on its way out refuses; it then stays behind, empty.</summary>
    public void Delete()
    {
        const int attempts = 50;
        foreach (var folder in folders)
        {
            for (var i = 0; i < attempts; i++)
            {
                try { Directory.Delete(folder); break; }
                catch (IOException) { Thread.Sleep(2); }
            }
        }
    }

    private string Make(string parent, string name)
    {
        var folder = Path.Combine(parent, name);
        Directory.CreateDirectory(folder);
        folders.Add(folder);
        return folder;
    }

    /// <returns>Our own group in a v1 hierarchy where we may make groups, or null.</returns>
    private static string? Own(string controller)
    {
        if (!Environment.IsPrivilegedProcess) { return null; }
        foreach (var line in File.ReadLines("/proc/self/cgroup"))
        {
            if (line.Split(':', 3) is not [_, var controllers, var path] || !controllers.Split(',').Contains(controller)) { continue; }
            var folder = $"/sys/fs/cgroup/{controllers}{path}".TrimEnd('/');
            return File.Exists(Path.Combine(folder, "cgroup.procs")) ? folder : null;
        }

        return null;
    }

    private static void Set(string folder, string file, string value) => File.WriteAllText(Path.Combine(folder, file), value);

    private static void TrySet(string folder, string file, string value)
    {
        try { Set(folder, file, value); }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // An optional control that this kernel lacks.
        }
    }
}
