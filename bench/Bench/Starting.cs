using System.Diagnostics;

namespace Platform.Bench;

/// <summary>The binary from its start.</summary>
internal static class Starting
{
    public static async Task Measure(Ground ground, Report report)
    {
        if (ground.Settings.Binary is not { } binary) { return; }
        var times = new List<double>();
        for (var round = -1; round < ground.Settings.Size(9, 1); round++)
        {
            var began = Stopwatch.GetTimestamp();
            using var process = Process.Start(new ProcessStartInfo(binary, ["version"]) { RedirectStandardOutput = true })!;
            await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            if (process.ExitCode != 0) { throw new InvalidOperationException($"platform version ended with {process.ExitCode}."); }
            if (round >= 0) { times.Add(Stopwatch.GetElapsedTime(began).TotalSeconds); }
        }

        report.Add("start", "platform version", "s", times, null, new Bar(0.3, false, false));
    }
}
