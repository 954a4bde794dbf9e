using System.Diagnostics;
using System.Globalization;

namespace Platform.Bench;

/// <summary>Processor time of this process and of every process of a PostgreSQL, from /proc.</summary>
internal sealed class CpuClock(int postmaster)
{
    /// <summary>USER_HZ: proc(5) counts in these on every Linux that .NET runs on.</summary>
    private const double TicksPerSecond = 100;

    public (double Own, double Postgres) Seconds()
    {
        double ticks = 0;
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), CultureInfo.InvariantCulture, out var pid)) { continue; }
            string stat;
            try { stat = File.ReadAllText(Path.Combine(folder, "stat")); }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException) { continue; }

            // The name, in brackets, may hold anything; the fields are counted behind it: state, ppid, ...
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            double Field(int number) => double.Parse(fields[number - 3], CultureInfo.InvariantCulture);
            if (pid == postmaster) { ticks += Field(14) + Field(15) + Field(16) + Field(17); }
            else if (Field(4) == postmaster) { ticks += Field(14) + Field(15); }
        }

        return (Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds, ticks / TicksPerSecond);
    }
}
