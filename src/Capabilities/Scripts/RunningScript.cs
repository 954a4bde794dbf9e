using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Platform.Domain.Daemons;

namespace Platform.Capabilities.Scripts;

/// <summary>One script's processes while they live: what they use, which limit they hit first, and how they end.</summary>
/// <param name="givenBytes">What we put into the folder ourselves: the script and its input do not count against its limit.</param>
internal sealed partial class RunningScript(SandboxTier tier, ScriptLimits limits, SafeFileHandle result, string? folder, long givenBytes, Cgroup? cgroup)
{
    /// <summary>Of all files together (in the namespace tier: of each sized file system), as a multiple of the limit of one file.</summary>
    public const int FolderFactor = 2;

    /// <summary>A folder with more entries than this is an attack on whoever has to delete it.</summary>
    public const int FolderEntries = 20_000;

    /// <summary>bubblewrap outside, bubblewrap as pid 1, the shell that waits; or the shell alone.</summary>
    private readonly int ownProcesses = tier == SandboxTier.Bubblewrap ? 3 : 1;
    private readonly Lock gate = new();
    private bool started;
    private TimeSpan? launcher;
    private bool over;
    private bool ended;

    public int Pid { get; private set; }

    public ScriptLimitHit Hit { get; private set; }

    public TimeSpan Cpu { get; private set; }

    public long PeakBytes { get; private set; }

    /// <summary>Called once, with the launcher's pid; a kill that was asked before is done now.</summary>
    public void Began(int pid)
    {
        lock (gate)
        {
            Pid = pid;
            if (over) { Kill(new ProcessTrees()); }
        }
    }

    /// <summary>True once the sandbox is up and the script's turn has come: the script's shell says so first.</summary>
    public bool Started()
    {
        Span<byte> first = stackalloc byte[1];
        return started = started || RandomAccess.Read(result, first, 0) == 1;
    }

    public void Look(ProcessTrees trees)
    {
        lock (gate)
        {
            if (Pid != 0 && !ended && Started()) { Weigh(trees); }
        }
    }

    private void Weigh(ProcessTrees trees)
    {
        var members = Members(trees);

        // The launcher's own start is on the account of the process that it became.
        launcher ??= members.FirstOrDefault(member => member.Pid == Pid).Cpu;
        var cpu = members.Aggregate(-launcher.Value, (sum, member) => sum + member.Cpu);
        if (cpu > Cpu) { Cpu = cpu; }
        var bytes = members.Sum(member => member.ResidentBytes);
        if (bytes > limits.MemoryBytes) { bytes = members.Sum(ProcessTrees.ProportionalBytes); }
        PeakBytes = Math.Max(PeakBytes, bytes);

        var hit =
            // The kernel ends one process of the group; the others go with it.
            bytes > limits.MemoryBytes || cgroup?.RanOutOfMemory() == true ? ScriptLimitHit.Memory
            : members.Count(member => member.State != 'Z') - ownProcesses > limits.Processes ? ScriptLimitHit.Processes
            : Cpu > limits.CpuTime ? ScriptLimitHit.CpuTime
            : folder is not null && FolderIsFull(folder) ? ScriptLimitHit.FileSize
            : ScriptLimitHit.None;
        if (hit != ScriptLimitHit.None) { End(hit); }
    }

    /// <summary>Kills everything; the first reason stays.</summary>
    public void End(ScriptLimitHit why)
    {
        lock (gate)
        {
            if (Hit == ScriptLimitHit.None) { Hit = why; }
            over = true;
            if (Pid != 0 && !ended) { Kill(new ProcessTrees()); }
        }
    }

    /// <summary>
    /// After the script's own shell has ended: kills what it left behind, and looks at its folder a last time, since a script may fill it between two looks of a watchdog that waits for a processor.
    /// From here on nothing is asked or killed any more: the number may soon be another process's.
    /// </summary>
    public void Sweep()
    {
        lock (gate)
        {
            if (ended) { return; }
            ended = true;
            if (tier == SandboxTier.Landlock) { _ = Signal(-Pid, Sigkill); }
            if (Hit == ScriptLimitHit.None && folder is not null && FolderIsFull(folder)) { Hit = ScriptLimitHit.FileSize; }
        }
    }

    private IReadOnlyList<ProcessTrees.Entry> Members(ProcessTrees trees) =>
        tier == SandboxTier.Bubblewrap ? trees.Descendants(Pid) : trees.Group(Pid);

    private void Kill(ProcessTrees trees)
    {
        // The filter lets nobody leave the group, and the kernel kills a group as a whole: no fork slips through.
        if (tier == SandboxTier.Landlock) { _ = Signal(-Pid, Sigkill); }

        // The namespace ends with its pid 1, which ends with bubblewrap; the others are named too in case that link is not yet set.
        foreach (var member in Members(trees).Take(8)) { _ = Signal(member.Pid, Sigkill); }
        _ = Signal(Pid, Sigkill);
    }

    private bool FolderIsFull(string path)
    {
        long bytes = 0;
        var entries = 0;
        try
        {
            var everything = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };
            foreach (var entry in new DirectoryInfo(path).EnumerateFileSystemInfos("*", everything))
            {
                bytes += entry is FileInfo file ? file.Length : 0;
                if (++entries > FolderEntries || bytes > givenBytes + (limits.FileBytes * FolderFactor)) { return true; }
            }
        }
        catch (IOException)
        {
            // The script changes the folder while we look; the next look sees it again.
        }

        return false;
    }

    private const int Sigkill = 9;

    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int pid, int signal);
}

/// <summary>Looks at /proc while scripts run, for all of them at once.</summary>
internal sealed partial class Watchdog : IDisposable
{
    /// <summary>A script can go past its memory by what it touches in this time; a process's own RLIMIT_DATA stands behind it.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(30);

    /// <summary>A look costs what the machine has processes and the scripts have files: whatever that is, one part in so many of a core at most.</summary>
    private const int Share = 10;
    private static readonly TimeSpan LongestInterval = TimeSpan.FromSeconds(1);

    private readonly List<RunningScript> scripts = [];
    private readonly Lock gate = new();
    private readonly ManualResetEventSlim busy = new();
    private readonly Thread thread;
    private volatile bool disposed;

    public Watchdog()
    {
        thread = new Thread(Run) { IsBackground = true, Name = "script watchdog" };
        thread.Start();
    }

    public void Add(RunningScript script)
    {
        lock (gate) { scripts.Add(script); busy.Set(); }
    }

    public void Remove(RunningScript script)
    {
        lock (gate)
        {
            scripts.Remove(script);
            if (scripts.Count == 0) { busy.Reset(); }
        }
    }

    public void Dispose()
    {
        disposed = true;
        busy.Set();
        thread.Join();
        busy.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            busy.Wait();
            if (disposed) { return; }
            RunningScript[] now;
            lock (gate) { now = [.. scripts]; }
            var began = ThreadCpu();
            var trees = new ProcessTrees();
            foreach (var script in now) { script.Look(trees); }

            // The time that it worked, not the time that it waited for a processor: on a full machine a script would go unseen for a second.
            var rest = (ThreadCpu() - began) * (Share - 1);
            Thread.Sleep(rest < Interval ? Interval : rest > LongestInterval ? LongestInterval : rest);
        }
    }

    /// <summary>Processor time of this thread.</summary>
    private static TimeSpan ThreadCpu() => ClockGetTime(ClockThreadCpuTimeId, out var time) == 0
        ? new TimeSpan((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / TimeSpan.NanosecondsPerTick))
        : throw new InvalidOperationException($"clock_gettime failed with {Marshal.GetLastPInvokeError()}.");

    /// <summary>Linux's CLOCK_THREAD_CPUTIME_ID.</summary>
    private const int ClockThreadCpuTimeId = 3;

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int ClockGetTime(int clock, out TimeSpec time);
}

/// <summary>Starts processes from one thread that never ends: the kernel tells a child that its parent died when the thread that made it ends.</summary>
internal sealed class Spawner : IDisposable
{
    private readonly BlockingCollection<Action> work = [];

    private readonly Thread thread;

    public Spawner()
    {
        thread = new Thread(() =>
        {
            foreach (var action in work.GetConsumingEnumerable()) { action(); }
        })
        { IsBackground = true, Name = "script spawner" };
        thread.Start();
    }

    public Task<Process> Start(ProcessStartInfo info)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        work.Add(() =>
        {
            try { started.SetResult(Process.Start(info) ?? throw new InvalidOperationException($"{info.FileName} did not start.")); }
            catch (Exception failure) { started.SetException(failure); }
        });
        return started.Task;
    }

    /// <summary>Scripts that still run are killed by the kernel when the thread ends.</summary>
    public void Dispose()
    {
        work.CompleteAdding();
        thread.Join();
        work.Dispose();
    }
}
