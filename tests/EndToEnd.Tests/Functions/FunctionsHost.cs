using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Signal = Platform.EndToEnd.Tests.PlatformProcess.Signal;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>What came of one invocation.</summary>
/// <param name="Status">0: the process went away.</param>
/// <param name="Problem">Why the host takes it for failed; null: it succeeded.</param>
internal sealed record Invocation(int Status, JsonObject Answer, string? Problem)
{
    public bool Succeeded => Problem is null;
}

/// <summary>What a client of an HTTP trigger hears.</summary>
internal sealed record HttpAnswer(int Status, JsonNode? Json, string Body)
{
    public override string ToString() => $"{Status} {Body}";
}

/// <summary>
/// Stands in for the host of Azure Functions: starts the real executable, one process, and speaks the contract of custom handlers to it, as documented and as
/// the host's public source has it. It is stricter than that one: what would hang there, or be dropped without a word, fails here.
/// </summary>
internal sealed partial class FunctionsHost : IAsyncDisposable
{
    public const string Key = "the-functions-key";

    /// <summary>The host stops itself at the third crash within half an hour.</summary>
    private const int CrashesThatStop = 3;

    private static readonly TimeSpan ReadyPoll = TimeSpan.FromMilliseconds(20);

    private readonly ScriptRoot root;
    private readonly StorageQueue queue;
    private readonly IReadOnlyDictionary<string, string?> settings;
    private readonly TimeSpan functionTimeout;
    private readonly HttpClient client = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, UseCookies = false }) { Timeout = Timeout.InfiniteTimeSpan };
    private readonly SemaphoreSlim restarting = new(1);
    private PlatformProcess process = null!;
    private int port;
    private int invocations;

    private FunctionsHost(ScriptRoot root, StorageQueue queue, IReadOnlyDictionary<string, string?> settings)
    {
        (this.root, this.queue, this.settings) = (root, queue, settings);

        // An application setting goes over host.json.
        functionTimeout = settings.GetValueOrDefault("AzureFunctionsJobHost__functionTimeout") is { } given ? TimeSpan.Parse(given, System.Globalization.CultureInfo.InvariantCulture) : root.FunctionTimeout;
    }

    public int Crashes { get; private set; }

    public int ProcessId => process.Id;

    public int Invocations => Volatile.Read(ref invocations);

    public StorageQueue Queue => queue;

    public static string Package { get; } = Path.GetDirectoryName(PlatformProcess.BinaryOf("CloudFunctions", "Platform.CloudFunctions"))!;

    public static async Task<FunctionsHost> Start(StorageQueue queue, IReadOnlyDictionary<string, string?> settings)
    {
        var host = new FunctionsHost(ScriptRoot.Read(Package), queue, settings);
        await host.StartProcess();
        return host;
    }

    /// <summary>Without a word before, as the host does, and as a machine that dies does.</summary>
    public async Task Kill()
    {
        var killed = process;
        killed.Send(Signal.Kill);
        await Restart(killed);
    }

    /// <summary>A request of a client.</summary>
    /// <param name="forwarding">As an older host does it, where it does not make an envelope of the call.</param>
    public async Task<HttpAnswer> Request(HttpMethod method, string pathAndQuery, JsonNode? body = null, IReadOnlyDictionary<string, string>? headers = null, bool forwarding = false, string? key = Key)
    {
        var url = new Uri($"https://platform.azurewebsites.net{pathAndQuery}");
        if (Match(method, url.AbsolutePath) is not var (function, parameters)) { return new HttpAnswer(404, null, "The host has no such route."); }
        if (function.Trigger.Text("authLevel") != "anonymous" && key != Key) { return new HttpAnswer(401, null, "The host wants a key."); }

        var sent = new Dictionary<string, string>(headers ?? new Dictionary<string, string>()) { ["Host"] = url.Host, ["x-functions-key"] = Key };
        var text = body?.ToJsonString();
        if (text is not null) { sent["Content-Type"] = "application/json"; }
        if (!function.IsHttpOnly)
        {
            var invocation = await Invoke(function, Envelopes.OfHttp(function.Trigger.Name, url, method, parameters, sent, text), Guid.NewGuid());
            if (!invocation.Succeeded) { return new HttpAnswer(500, null, invocation.Problem!); }
            var answered = (JsonObject)invocation.Answer["Outputs"]![function.Outputs.Single(output => output.Type == "http").Name]!;
            return Read((int)answered["statusCode"]!, (string)answered["body"]!);
        }

        if (forwarding)
        {
            // Keys that come twice are joined.
            var query = url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split('=', 2)).GroupBy(part => part[0]).Select(group => $"{group.Key}={string.Join(',', group.Select(part => part.ElementAtOrDefault(1)))}");
            pathAndQuery = $"{url.AbsolutePath}?{string.Join('&', query)}".TrimEnd('?');
        }

        using var request = new HttpRequestMessage(method, $"http://127.0.0.1:{port}{pathAndQuery}");
        if (text is not null) { request.Content = new StringContent(text, Encoding.UTF8, "application/json"); }
        foreach (var (name, value) in sent.Where(header => header.Key != "Content-Type")) { request.Headers.TryAddWithoutValidation(name, value); }
        request.Headers.Add("X-Azure-Functions-InvocationId", Guid.NewGuid().ToString());
        using var response = await client.SendAsync(request, TestContext.Current.CancellationToken).WaitAsync(functionTimeout, TestContext.Current.CancellationToken);
        return Read((int)response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    /// <summary>Fires the timer once, and sends on what it puts out.</summary>
    public async Task<Invocation> FireTimer()
    {
        var function = root.Functions.Single(function => function.Trigger.Type == "timerTrigger");
        return await Invoke(function, Envelopes.OfTimer(function.Trigger.Name), Guid.NewGuid());
    }

    /// <summary>Delivers one message to the function that its queue triggers; what fails goes back, and comes again.</summary>
    public async Task<Invocation> Deliver(QueueMessage message)
    {
        var function = root.Functions.Single(function => function.Trigger.Type == "queueTrigger");
        var invocation = await Invoke(function, Envelopes.Of(message, function.Trigger.Name), message.InvocationId);
        if (!invocation.Succeeded) { queue.Return(message, root.MaxDequeueCount); }
        return invocation;
    }

    /// <summary>Delivers messages side by side, and fires the timer whenever none is left, until it is so.</summary>
    /// <param name="between">After each invocation.</param>
    public async Task Pump(Func<Task<bool>> so, Func<Task>? between = null)
    {
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        var underWay = new List<Task<Invocation>>();
        while (true)
        {
            while (underWay.Count < root.BatchSize && queue.Take() is { } message) { underWay.Add(Deliver(message)); }
            if (underWay.Count == 0)
            {
                if (await so()) { return; }
                patience.Token.ThrowIfCancellationRequested();
                var timer = await FireTimer();
                Assert.True(timer.Succeeded, timer.Problem);
                if (queue.Count == 0) { await Task.Delay(ReadyPoll, patience.Token); }
                continue;
            }

            underWay.Remove(await Task.WhenAny(underWay).WaitAsync(patience.Token));
            if (between is not null) { await between(); }
        }
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await process.DisposeAsync();
        restarting.Dispose();
    }

    private async Task<Invocation> Invoke(Function function, JsonObject envelope, Guid id)
    {
        Interlocked.Increment(ref invocations);
        var serving = process;
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{port}/{function.Name}") { Content = new StringContent(envelope.ToJsonString(), Encoding.UTF8, "application/json") };
        request.Headers.Add("X-Azure-Functions-InvocationId", id.ToString());
        request.Headers.TryAddWithoutValidation("User-Agent", "Azure-Functions-Host/4.1037.0");
        try
        {
            using var response = await client.SendAsync(request, TestContext.Current.CancellationToken).WaitAsync(functionTimeout, TestContext.Current.CancellationToken);
            var body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            return Check(function, (int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, body);
        }
        catch (Exception away) when (away is HttpRequestException or IOException)
        {
            await Restart(serving);
            return new Invocation(0, [], $"{function.Name}: the process went away: {away.Message}");
        }
        catch (TimeoutException)
        {
            // The only process is killed, and every other call in flight fails with it.
            serving.Send(Signal.Kill);
            await Restart(serving);
            return new Invocation(0, [], $"{function.Name}: longer than functionTimeout");
        }
    }

    /// <summary>Takes the answer to an envelope as the host does, and sends its outputs on.</summary>
    private Invocation Check(Function function, int status, string? contentType, string body)
    {
        JsonObject? answer = null;
        try { answer = JsonNode.Parse(body) as JsonObject; }
        catch (JsonException) { /* Said below. */ }
        if (status is < 200 or > 299) { return new Invocation(status, answer ?? [], $"{function.Name} answered {status}: {body}"); }
        Assert.True(body.Length > 0, $"{function.Name}: an empty answer hangs until functionTimeout.");
        Assert.True(answer is not null && contentType == "application/json", $"{function.Name}: the answer is no JSON: {contentType} {body}");
        Assert.Empty(answer.Select(member => member.Key).Except(["Outputs", "Logs", "ReturnValue"]));
        var outputs = answer["Outputs"] as JsonObject ?? [];
        Assert.Empty(outputs.Select(output => output.Key).Except(function.Outputs.Select(output => output.Name)));
        foreach (var binding in function.Outputs)
        {
            switch (binding.Type)
            {
                case "http":
                    var http = outputs[binding.Name]!.AsObject();
                    Assert.InRange((int)http["statusCode"]!, 200, 599);
                    Assert.NotNull((string?)http["body"]);
                    Assert.Empty(http.Select(member => member.Key).Except(["statusCode", "headers", "body"]));
                    break;
                case "queue" when outputs[binding.Name] is { } messages:
                    foreach (var text in messages.AsArray().Select(message => (string)message!))
                    {
                        Assert.False(Convert.TryFromBase64String(text, new byte[text.Length], out _), $"{function.Name}: '{text}' would be taken for base64.");
                        queue.Send(text);
                    }

                    break;
            }
        }

        return new Invocation(status, answer, null);
    }

    private async Task StartProcess()
    {
        port = FreePort();
        var decoy = FreePort();

        // The host passes its whole environment on; these are its own, and would draw the handler to other addresses.
        var environment = new Dictionary<string, string?>(settings)
        {
            ["FUNCTIONS_CUSTOMHANDLER_PORT"] = $"{port}",
            ["FUNCTIONS_WORKER_RUNTIME"] = "custom",
            ["ASPNETCORE_URLS"] = $"http://0.0.0.0:{decoy}",
            ["ASPNETCORE_HTTP_PORTS"] = $"{decoy}",
            ["ASPNETCORE_ENVIRONMENT"] = "Development",
        };
        process = PlatformProcess.Start(root.Executable, [], environment, root.Folder);
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        while (true)
        {
            try
            {
                // Any status will do.
                using var answer = await client.GetAsync(new Uri($"http://127.0.0.1:{port}/"), patience.Token);
                Assert.Equal(decoy, FreePort(decoy));
                return;
            }
            catch (HttpRequestException)
            {
                if (process.HasExited) { throw new InvalidOperationException($"The handler ended at its start: {await process.End()}"); }
                await Task.Delay(ReadyPoll, patience.Token);
            }
        }
    }

    private async Task Restart(PlatformProcess died)
    {
        await restarting.WaitAsync();
        try
        {
            if (process != died) { return; }
            var end = await died.End();
            Crashes++;
            Assert.True(Crashes < CrashesThatStop, $"The host stops at its third crash: {end}");
            await died.DisposeAsync();
            await StartProcess();
        }
        finally
        {
            restarting.Release();
        }
    }

    /// <summary>Nobody listens there.</summary>
    private static int FreePort(int port = 0)
    {
        using var listener = new TcpListener(IPAddress.Any, port);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static HttpAnswer Read(int status, string body)
    {
        try { return new HttpAnswer(status, JsonNode.Parse(body), body); }
        catch (JsonException) { return new HttpAnswer(status, null, body); }
    }

    private (Function, IReadOnlyDictionary<string, string>)? Match(HttpMethod method, string path)
    {
        foreach (var function in root.Functions.Where(function => function.Trigger.Type == "httpTrigger" && function.Methods.Contains(method.Method)))
        {
            var pattern = Parameter().Replace($"{root.RoutePrefix}/{function.Route}".TrimStart('/'), match => $"(?<{match.Groups[1].Value}>[^/]+)");
            if (Regex.Match(path.TrimStart('/'), $"^{pattern}$") is { Success: true } found)
            {
                return (function, found.Groups.Cast<Group>().Skip(1).ToDictionary(group => group.Name, group => Uri.UnescapeDataString(group.Value)));
            }
        }

        return null;
    }

    [GeneratedRegex(@"\{([A-Za-z]+)\}")]
    private static partial Regex Parameter();
}
