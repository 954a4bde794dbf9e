using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests;

/// <summary>What a finished process said.</summary>
public sealed record Finished(int Code, string Out, string Error)
{
    /// <summary>Standard output as one JSON value.</summary>
    public JsonNode Json => JsonNode.Parse(Out) ?? throw new InvalidOperationException("The output is JSON's null.");

    /// <summary>Standard output as one JSON value a line.</summary>
    public IReadOnlyList<JsonNode> JsonLines => [.. Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];

    public override string ToString() => $"exit code {Code}\n--- out\n{Out}\n--- error\n{Error}";
}

/// <summary>
/// The real <c>platform</c> binary (or another program of this repository) as a child process, as a person or a supervisor starts it.
/// Disposing kills what still runs.
/// </summary>
public sealed partial class PlatformProcess : IAsyncDisposable
{
    /// <summary>No command of these tests takes as long; past it something hangs, and the test fails with what was said so far.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly Process process;
    private readonly ConcurrentQueue<string> lines = new();
    private readonly StringBuilder standardOut = new();
    private readonly StringBuilder standardError = new();
    private readonly SemaphoreSlim arrived = new(0);
    private readonly TaskCompletionSource outEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource errorEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PlatformProcess(ProcessStartInfo start)
    {
        process = new Process { StartInfo = start, EnableRaisingEvents = true };
        process.Exited += (_, _) => Wake();
        process.OutputDataReceived += (_, e) => Take(e.Data, standardOut, outEnded);
        process.ErrorDataReceived += (_, e) => Take(e.Data, standardError, errorEnded);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>signal(7); None sends nothing and only asks whether the process is there.</summary>
    public enum Signal { None, Interrupt = 2, Kill = 9, Terminate = 15, Continue = 18, Stop = 19 }

    /// <summary>The repository's root, from where the tests were built.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The built <c>platform</c>; PLATFORM_BINARY names another, for example the published file.</summary>
    public static string Binary { get; } = Environment.GetEnvironmentVariable("PLATFORM_BINARY") is { Length: > 0 } given ? given : BinaryOf("SelfHost", "platform");

    /// <summary>Bit SIGINT - 1 of proc_pid_status(5)'s SigIgn.</summary>
    private static bool IgnoresInterrupt { get; } =
        (Convert.ToUInt64(File.ReadLines("/proc/self/status").First(line => line.StartsWith("SigIgn:", StringComparison.Ordinal))["SigIgn:".Length..].Trim(), 16) & 2) != 0;

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    /// <summary>A built program of src/PROJECT, in the configuration of these tests.</summary>
    public static string BinaryOf(string project, string name)
    {
        // .../bin/Debug/net10.0/ of these tests; the same two folders of the program's own.
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        return Path.Combine(Root, "src", project, "bin", framework.Parent!.Name, framework.Name, name);
    }

    public static PlatformProcess Start(params IEnumerable<string> arguments) => Start(Binary, arguments);

    /// <param name="environment">Added to ours; null takes a variable away.</param>
    public static PlatformProcess Start(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null, string? folder = null)
    {
        // A shell's background job ignores Ctrl-C, and so do all that come of it: then our children must be told to listen.
        var start = new ProcessStartInfo(IgnoresInterrupt ? "/usr/bin/env" : program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = folder ?? Root,
        };
        if (IgnoresInterrupt)
        {
            start.ArgumentList.Add("--default-signal=INT,QUIT");
            start.ArgumentList.Add(program);
        }

        foreach (var argument in arguments) { start.ArgumentList.Add(argument); }
        foreach (var inherited in (string[])["PLATFORM_DATA", "PLATFORM_POSTGRES", "PLATFORM_ANCHOR", "NO_COLOR"]) { start.Environment.Remove(inherited); }
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>()) { start.Environment[name] = value; }
        return new PlatformProcess(start);
    }

    /// <summary>Runs <c>platform</c> to its end.</summary>
    public static async Task<Finished> Run(params IEnumerable<string> arguments)
    {
        await using var started = Start(arguments);
        return await started.End();
    }

    public void Send(Signal signal)
    {
        if (process.HasExited) { return; }
        Marshal.SetLastPInvokeError(0);
        _ = Kill(process.Id, (int)signal);
    }

    /// <summary>kill(2), for a process that is not a child of ours.</summary>
    public static void Send(int pid, Signal signal)
    {
        if (Kill(pid, (int)signal) != 0) { throw new InvalidOperationException($"kill({pid}, {signal}): {Marshal.GetLastPInvokeErrorMessage()}"); }
    }

    public void WriteInput(string text, bool andClose = true)
    {
        process.StandardInput.Write(text);
        process.StandardInput.Flush();
        if (andClose) { process.StandardInput.Close(); }
    }

    /// <summary>Waits until a line of either output satisfies; each line is looked at once.</summary>
    /// <exception cref="TimeoutException"/>
    public async Task<string> Line(Func<string, bool> wanted)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            while (lines.TryDequeue(out var line))
            {
                if (wanted(line)) { return line; }
            }

            if (process.HasExited && outEnded.Task.IsCompleted && errorEnded.Task.IsCompleted && lines.IsEmpty) { throw new InvalidOperationException($"It ended without the line.\n{Said()}"); }
            try { await arrived.WaitAsync(patience.Token); }
            catch (OperationCanceledException) { throw new TimeoutException($"The line did not come.\n{Said()}"); }
        }
    }

    /// <summary>Waits for the end.</summary>
    /// <exception cref="TimeoutException"/>
    public async Task<Finished> End()
    {
        using var patience = new CancellationTokenSource(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
            await Task.WhenAll(outEnded.Task, errorEnded.Task).WaitAsync(patience.Token);
        }
        catch (OperationCanceledException) { throw new TimeoutException($"It did not end.\n{Said()}"); }
        return Said();
    }

    public async ValueTask DisposeAsync()
    {
        Send(Signal.Kill);
        await process.WaitForExitAsync();
        process.Dispose();
        arrived.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Kill(int pid, int signal);

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Platform.sln"))) { return folder.FullName; }
        }

        throw new InvalidOperationException("Platform.sln is not above the tests.");
    }

    private void Take(string? line, StringBuilder into, TaskCompletionSource ended)
    {
        if (line is null) { ended.TrySetResult(); }
        else
        {
            lock (into) { into.Append(line).Append('\n'); }
            lines.Enqueue(line);
        }

        Wake();
    }

    private void Wake()
    {
        try { arrived.Release(); }
        catch (ObjectDisposedException) { /* Nobody waits any more. */ }
    }

    private Finished Said()
    {
        string text, errors;
        lock (standardOut) { text = standardOut.ToString(); }
        lock (standardError) { errors = standardError.ToString(); }
        return new Finished(process.HasExited ? process.ExitCode : -1, text, errors);
    }
}
