using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Platform.Hosting.Http;
using Platform.Messaging;
using Platform.SelfHost.Http;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform serve</c>: works on messages and offers the HTTP API, until it is told to stop.</summary>
internal static class ServeCommand
{
    public const string Name = "serve";

    /// <summary>A supervisor (systemd: 90 s, Kubernetes: 30 s) kills what has not left by then.</summary>
    private const int DefaultDrainSeconds = 25;

    private const int MaxDrainSeconds = 3_600;

    /// <summary>For requests that have begun; whoever waits for an end or a stream has been told by then.</summary>
    private static readonly TimeSpan RequestPatience = TimeSpan.FromSeconds(5);

    public static Command Create(Commands commands)
    {
        var listen = new Option<string>("--listen") { Description = "Where: HOST:PORT, or unix:PATH.", HelpName = "ADDRESS", DefaultValueFactory = _ => ListenAddress.Default };
        var token = new Option<string?>("--token-file") { Description = "A file whose first line is the token that callers send; needed beyond this machine.", HelpName = "FILE" };
        var drain = new Option<int>("--drain") { Description = "Seconds that stages get to end when it is told to stop; what has not ended is given back.", HelpName = "SECONDS", DefaultValueFactory = _ => DefaultDrainSeconds };
        return commands.Add(Name, "Serve the HTTP API, and work on runs until told to stop.", [listen, token, drain], (parse, settings, _) => Execute(
            settings, ListenAddress.Parse(parse.GetValue(listen)!), parse.GetValue(token), parse.GetValue(drain)));
    }

    private static async Task<int> Execute(Settings settings, ListenAddress listen, string? tokenFile, int drainSeconds)
    {
        if (drainSeconds is < 0 or > MaxDrainSeconds) { throw new ProblemException(new Problem("serve.drain", string.Create(CultureInfo.InvariantCulture, $"--drain is {drainSeconds}: 0 to {MaxDrainSeconds} seconds."))); }
        var token = tokenFile is null ? null : await ReadToken(tokenFile);
        if (token is null && !listen.IsLocal)
        {
            throw new ProblemException(new Problem("serve.token", $"{listen} can be reached from other machines: give --token-file FILE, so that not everybody there can run daemons here."));
        }

        using var interrupt = Interruption.Watch();
        using var leaving = new CancellationTokenSource();
        var hosts = token is null && listen.Socket is null ? new[] { HostOf(listen) } : null;
        Installation? installation = null;
        using var api = new HttpApi(() => Volatile.Read(ref installation)?.Node, new HttpApiOptions(new Access(token, hosts), settings.Tenant, "http", settings.Terminal.Error.WriteLine, leaving.Token));

        // First of all: an address that is taken is said at once, and probes are answered while the database starts.
        await using var server = await ApiServer.Start(listen, api, interrupt.Leave);
        using var starting = CancellationTokenSource.CreateLinkedTokenSource(interrupt.Leave);
        _ = interrupt.First.ContinueWith(_ => starting.CancelAsync(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await using var opened = await Installation.Open(settings, starting.Token);
            await opened.Node.StartWorking(starting.Token);
            Volatile.Write(ref installation, opened);
            TellReady(settings.Terminal, server.Url, token is not null);

            await interrupt.First;
            settings.Terminal.Note(string.Create(CultureInfo.InvariantCulture, $"Leaving: stages under way get {drainSeconds} s to end. A second signal leaves at once."));
            await leaving.CancelAsync();
            await using var hurried = interrupt.Leave.Register(opened.Node.Bus.Hurry);
            await Task.WhenAll(server.Stop(RequestPatience), opened.Node.Bus.Drain(TimeSpan.FromSeconds(drainSeconds)));
            Volatile.Write(ref installation, null);
            if (interrupt.Leave.IsCancellationRequested) { return ExitCode.Interrupted; }
            await opened.Node.Sign(CancellationToken.None);
            return ExitCode.Done;
        }
        catch (OperationCanceledException) when (interrupt.First.IsCompleted)
        {
            return ExitCode.Interrupted;
        }
    }

    /// <summary>One line, so that who started it knows when and where to call.</summary>
    private static void TellReady(Terminal terminal, string url, bool needsToken)
    {
        var took = DateTime.Now - Process.GetCurrentProcess().StartTime;
        if (terminal.Json)
        {
            terminal.Record(new JsonObject { ["status"] = "ready", ["url"] = url, ["tokenNeeded"] = needsToken, ["processId"] = Environment.ProcessId, ["tookMs"] = (long)took.TotalMilliseconds });
            return;
        }

        terminal.Line(string.Create(CultureInfo.InvariantCulture, $"Ready after {took.TotalSeconds:0.00} s: {url}{(needsToken ? " (with the token)" : "")}. Ctrl-C ends it."));
    }

    private static string HostOf(ListenAddress listen) => listen.Endpoint!.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{listen.Endpoint.Address}]" : listen.Endpoint.Address.ToString();

    private static async Task<string> ReadToken(string file)
    {
        if (!File.Exists(file)) { throw new ProblemException(new Problem("serve.token", $"There is no file {file}.")); }
        using var reader = new StreamReader(file);
        var buffer = new char[Access.MaxTokenLength + 1];
        var read = await reader.ReadBlockAsync(buffer);
        var token = new string(buffer, 0, read).Split('\n', 2)[0].Trim();
        return token.Length is >= Access.MinTokenLength and <= Access.MaxTokenLength && token.All(c => c is >= '!' and <= '~')
            ? token
            : throw new ProblemException(new Problem("serve.token", $"The first line of {file} is no token: {Access.MinTokenLength} to {Access.MaxTokenLength} visible ASCII characters. Make one: openssl rand -hex 32 > {file}"));
    }
}
