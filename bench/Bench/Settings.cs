using System.Globalization;

namespace Platform.Bench;

/// <summary>What is measured, and how long.</summary>
/// <param name="Wanted">Empty: all.</param>
/// <param name="Rounds">Of each comparison; the median counts.</param>
/// <param name="Slice">Of one side in one round.</param>
/// <param name="Brief">The smallest sizes: shows that it works.</param>
/// <param name="Binary">The built binary; null: it is not started.</param>
internal sealed record Settings(IReadOnlyList<string> Wanted, int Rounds, TimeSpan Slice, bool Brief, bool Json, string DataFolder, string? Binary)
{
    /// <summary>A count of a full measurement, or of a brief one.</summary>
    public int Size(int full, int brief) => Brief ? brief : full;

    public static Settings? Parse(string[] args)
    {
        var parts = new List<string>();
        var (rounds, slice, brief, json) = (7, 1.0, false, false);
        string? data = null, platform = null;
        try
        {
            for (var i = 0; i < args.Length; i++)
            {
                switch (args[i])
                {
                    case "--json": json = true; break;
                    case "--brief": brief = true; break;
                    case "--rounds": rounds = int.Parse(args[++i], CultureInfo.InvariantCulture); break;
                    case "--slice": slice = double.Parse(args[++i], CultureInfo.InvariantCulture); break;
                    case "--data": data = args[++i]; break;
                    case "--platform": platform = Path.GetFullPath(args[++i]); break;
                    case var part when Parts.All.Any(known => known.Name == part): parts.Add(part); break;
                    case var other: throw new FormatException($"'{other}' is none of: {string.Join(", ", Parts.All.Select(known => known.Name))}.");
                }
            }
        }
        catch (Exception wrong) when (wrong is FormatException or OverflowException or IndexOutOfRangeException)
        {
            Console.Error.WriteLine(wrong.Message);
            return null;
        }

        if (brief) { (rounds, slice) = (1, 0.1); }
        return new Settings(parts, rounds, TimeSpan.FromSeconds(slice), brief, json, data ?? $"/var/tmp/platform-bench-{Guid.NewGuid():n}", platform);
    }
}
