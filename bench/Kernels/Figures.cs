using System.Diagnostics;
using System.Globalization;
using Platform.GpuKernels.Devices;

namespace Platform.Kernels;

/// <summary>Figures of a device, one a line with tabs between: key, what, value, unit, part of the measured limit.</summary>
internal sealed class Figures(string file)
{
    public void Add(string key, string what, double value, string unit, double? part = null)
    {
        var line = string.Create(CultureInfo.InvariantCulture, $"{key}\t{what}\t{value:G5}\t{unit}\t{(part is { } of ? $"{of:P0}" : "")}");
        File.AppendAllText(file, line + "\n");
        Console.Error.WriteLine(line);
    }

    /// <summary>The shortest of several runs by the device's clock, in seconds.</summary>
    public static double Best(AcceleratorStream stream, int runs, Action run)
    {
        run();
        stream.Synchronize();
        var best = double.PositiveInfinity;
        for (var i = 0; i < runs; i++)
        {
            using var before = stream.Record();
            run();
            using var after = stream.Record();
            best = Math.Min(best, after.Since(before).TotalSeconds);
        }

        return best;
    }

    /// <summary>The shortest of several runs by this machine's clock, in seconds.</summary>
    public static double Clock(AcceleratorStream? stream, int runs, Action run)
    {
        var best = double.PositiveInfinity;
        for (var i = 0; i < runs; i++)
        {
            var started = Stopwatch.GetTimestamp();
            run();
            stream?.Synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(started).TotalSeconds);
        }

        return best;
    }
}
