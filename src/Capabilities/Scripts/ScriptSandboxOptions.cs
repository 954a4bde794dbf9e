using System.Reflection;
using System.Runtime.InteropServices;

namespace Platform.Capabilities.Scripts;

public enum SandboxTier
{
    /// <summary>Namespaces of its own, by bubblewrap.</summary>
    Bubblewrap,

    /// <summary>Landlock and seccomp in the machine's namespaces.</summary>
    Landlock,
}

public sealed record ScriptSandboxOptions
{
    /// <summary>Where jobs have their folders in the tier without namespaces. Created if missing; must not be writable by others.</summary>
    public string JobRoot { get; init; } = Environment.IsPrivilegedProcess
        ? "/run/platform-jobs"
        : Path.Combine(Path.GetTempPath(), $"platform-jobs-{Environment.UserName}");

    /// <summary>When the server is root, each running job gets a uid (and a gid of the same number) of its own from here on. 60706 to 61183 belong to nobody, by Debian's and systemd's lists.</summary>
    public int FirstUid { get; init; } = 60706;

    /// <summary>Jobs at once; the others wait. Also the length of the uid range.</summary>
    public int Concurrency { get; init; } = 32;

    /// <summary>Null: the best that works here. There is no value for "none".</summary>
    public SandboxTier? Tier { get; init; }

    /// <summary>Executable, and arguments before <see cref="SandboxLauncher.Mode"/>, whose Main calls <see cref="SandboxLauncher.TryRun"/>.</summary>
    public IReadOnlyList<string> Launcher { get; init; } = Ourselves();

    /// <summary>A delegated cgroup v2 folder with the memory and pids controllers enabled for its children and no process in it. Null: the machine's v1 hierarchies where we may write, else rlimits and the watchdog alone.</summary>
    public string? CgroupFolder { get; init; }

    private static IReadOnlyList<string> Ourselves()
    {
        var process = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this executable is not known.");
        return Path.GetFileNameWithoutExtension(process) == "dotnet" && Assembly.GetEntryAssembly() is { } entry
            ? [process, Path.Combine(AppContext.BaseDirectory, entry.GetName().Name + ".dll")]
            : [process];
    }

    /// <summary>The .NET installation that runs us, or null in a self-contained executable.</summary>
    internal static string? DotnetRoot()
    {
        // .../dotnet/shared/Microsoft.NETCore.App/10.0.0/
        var runtime = Path.TrimEndingDirectorySeparator(RuntimeEnvironment.GetRuntimeDirectory());
        var root = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetDirectoryName(runtime)));
        return root is not null && Directory.Exists(Path.Combine(root, "host", "fxr")) ? root : null;
    }
}
