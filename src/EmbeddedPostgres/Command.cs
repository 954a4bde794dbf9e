using System.Diagnostics;

namespace Platform.EmbeddedPostgres;

/// <summary>Runs one of PostgreSQL's programs to its end, without the caller's PG* variables and locale.</summary>
internal static class Command
{
    public sealed record Result(int ExitCode, string Output)
    {
        /// <summary>The last lines, which say why.</summary>
        public string Tail => string.Join('\n', Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(6));
    }

    public static async Task<Result> Run(string program, IReadOnlyList<string> arguments, OperatingUser? user, TimeSpan timeout, CancellationToken cancellation, string? workingFolder = null)
    {
        IReadOnlyList<string> line = [program, .. arguments];
        if (user is { MustSwitch: true }) { line = user.Wrap(line); }

        var start = new ProcessStartInfo(line[0]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = workingFolder ?? "/" };
        foreach (var argument in line.Skip(1)) { start.ArgumentList.Add(argument); }
        foreach (var name in start.Environment.Keys.Where(n => n.StartsWith("PG", StringComparison.Ordinal)).ToArray()) { start.Environment.Remove(name); }
        start.Environment["LC_ALL"] = "C";

        using var process = Process.Start(start) ?? throw new ClusterException($"Cannot start {line[0]}.");
        process.StandardInput.Close();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(timeout);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var errors = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return new Result(process.ExitCode, await output + await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancellation.ThrowIfCancellationRequested();
            throw new ClusterException($"{Path.GetFileName(program)} did not end within {timeout.TotalSeconds:0} s.");
        }
    }
}
