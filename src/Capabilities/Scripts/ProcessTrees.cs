using System.Buffers.Text;

namespace Platform.Capabilities.Scripts;

/// <summary>One look at all processes of the machine, from /proc.</summary>
internal sealed class ProcessTrees
{
    private static readonly long PageBytes = Environment.SystemPageSize;

    /// <summary>USER_HZ: the unit of /proc/PID/stat, 100 on every machine that .NET runs on.</summary>
    private const double TicksPerSecond = 100;

    /// <summary>Resident pages, counted from the state (proc_pid_stat(5)).</summary>
    private const int LastField = 21;

    private readonly Dictionary<int, Entry> all = [];
    private readonly ILookup<int, Entry> children;

    public ProcessTrees()
    {
        var buffer = new byte[1024];
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder.AsSpan()), out var pid)) { continue; }
            if (Read(pid, buffer) is { } entry) { all[pid] = entry; }
        }

        children = all.Values.ToLookup(entry => entry.Parent);
    }

    public readonly record struct Entry(int Pid, int Parent, int Group, char State, TimeSpan Cpu, long ResidentBytes);

    public IReadOnlyList<Entry> Group(int group) => [.. all.Values.Where(entry => entry.Group == group)];

    public IReadOnlyList<Entry> Descendants(int root)
    {
        if (!all.TryGetValue(root, out var first)) { return []; }
        var found = new List<Entry> { first };
        for (var i = 0; i < found.Count; i++) { found.AddRange(children[found[i].Pid].Where(child => child.Pid != found[i].Pid)); }
        return found;
    }

    /// <summary>Pages shared by several processes counted once in sum. Costs about a millisecond per process, so it is asked only when the cheap figure is over.</summary>
    public static long ProportionalBytes(Entry entry)
    {
        try
        {
            foreach (var line in File.ReadLines($"/proc/{entry.Pid}/smaps_rollup"))
            {
                if (line.StartsWith("Pss:", StringComparison.Ordinal)) { return long.Parse(line.AsSpan(4).TrimEnd("kB").Trim()) * 1024; }
            }

            return 0;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Gone meanwhile, or not ours to look into: the cheap figure, which is never too small.
            return File.Exists($"/proc/{entry.Pid}/stat") ? entry.ResidentBytes : 0;
        }
    }

    /// <summary>Threads of all processes of the user that we are.</summary>
    public static int TasksOfOurUser()
    {
        var ours = Field("/proc/self/status", "Uid:");
        return Directory.EnumerateDirectories("/proc")
            .Where(folder => char.IsAsciiDigit(folder["/proc/".Length]) && Field(folder + "/status", "Uid:") == ours)
            .Sum(folder => int.TryParse(Field(folder + "/status", "Threads:"), out var threads) ? threads : 0);

        static string? Field(string path, string name)
        {
            try { return File.ReadLines(path).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?.Split('\t', 3)[1]; }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException) { return null; }
        }
    }

    private static Entry? Read(int pid, byte[] buffer)
    {
        int length;
        try
        {
            using var file = File.OpenHandle($"/proc/{pid}/stat");
            length = RandomAccess.Read(file, buffer, 0);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        // pid (name) state ppid pgrp ...; the name may hold anything, so count from its last parenthesis.
        var rest = buffer.AsSpan(0, length);
        var end = rest.LastIndexOf((byte)')');
        if (end < 0 || end + 2 >= length) { return null; }
        rest = rest[(end + 2)..];
        Span<long> numbers = stackalloc long[LastField + 1];
        var (field, state) = (0, (char)rest[0]);
        foreach (var range in rest.Split((byte)' '))
        {
            numbers[field] = Utf8Parser.TryParse(rest[range], out long value, out _) ? value : 0;
            if (++field > LastField) { break; }
        }

        if (field <= LastField) { return null; }
        var ticks = numbers[11] + numbers[12] + numbers[13] + numbers[14];
        return new Entry(pid, (int)numbers[1], (int)numbers[2], state, TimeSpan.FromSeconds(ticks / TicksPerSecond), numbers[LastField] * PageBytes);
    }
}
