using System.Diagnostics;
using System.Globalization;

namespace Platform.Bench;

/// <summary>The binary from its start: a command that needs nothing, and <c>serve</c> on a data folder that has been used before, its PostgreSQL included.</summary>
internal static class Starting
{
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(5);

    public static async Task Measure(Ground ground, Report report)
    {
        if (ground.Settings.Binary is not { } binary) { return; }
        await Version(ground, report, binary);
        await Serve(ground, report, binary);
    }

    private static async Task Version(Ground ground, Report report, string binary)
    {
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

    private static async Task Serve(Ground ground, Report report, string binary)
    {
        var (times, memory, again) = (new List<double>(), new List<double>(), new List<double>());
        for (var round = -1; round < ground.Settings.Size(5, 1); round++)
        {
            using var process = await Ready(ground, binary, round < 0 ? [] : times); // the first one makes the cluster
            if (round >= 0 && memory.Count < ground.Settings.Size(3, 1))
            {
                await Task.Delay(ground.Settings.Brief ? TimeSpan.Zero : Idle);
                memory.Add(ResidentMegabytes(process.Id));
            }

            await Terminate(process);
        }

        for (var round = 0; round < ground.Settings.Size(5, 1); round++)
        {
            using (var killed = await Ready(ground, binary, []))
            {
                killed.Kill();
                await killed.WaitForExitAsync();
            }

            using var process = await Ready(ground, binary, again);
            await Terminate(process);
        }

        report.Add("start", "serve is ready, warm data folder", "s", times, null, new Bar(1.5, false, false));
        report.Add("start", "serve is ready again after kill -9", "s", again, null, new Bar(2, false, false));
        report.Add("start", $"serve, resident after {Idle.TotalSeconds} s idle", "MB", memory, null, new Bar(150, false, false));
    }

    private static async Task<Process> Ready(Ground ground, string binary, List<double> times)
    {
        var began = Stopwatch.GetTimestamp();
        string[] arguments = ["serve", "--json", "--data", Path.Combine(ground.Folder, "serve"), "--listen", $"unix:{Path.Combine(ground.Folder, "s")}"];
        var process = Process.Start(new ProcessStartInfo(binary, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _ = process.StandardError.ReadToEndAsync();
        var first = await process.StandardOutput.ReadLineAsync();
        times.Add(Stopwatch.GetElapsedTime(began).TotalSeconds);
        return first?.Contains("\"ready\"", StringComparison.Ordinal) == true ? process : throw new InvalidOperationException($"platform serve said {first}.");
    }

    private static async Task Terminate(Process process)
    {
        using var stop = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0) { throw new InvalidOperationException($"platform serve ended with {process.ExitCode}."); }
    }

    private static double ResidentMegabytes(int pid)
    {
        var line = File.ReadLines($"/proc/{pid}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) / 1024;
    }
}
