using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests;

/// <summary>A running <c>platform serve</c>, and a client of it.</summary>
public sealed class Server : IAsyncDisposable
{
    private Server(PlatformProcess process, JsonNode ready)
    {
        Process = process;
        Ready = ready;
        Client = new HttpClient { BaseAddress = new Uri((string)ready["url"]!), Timeout = PlatformProcess.Patience };
    }

    public PlatformProcess Process { get; }

    /// <summary>The line that it prints when it is ready.</summary>
    public JsonNode Ready { get; }

    public HttpClient Client { get; }

    /// <summary>Starts it on a port that the system chooses, and waits until it is ready.</summary>
    public static async Task<Server> Start(DataFolder place, params IEnumerable<string> arguments)
    {
        string[] given = [.. arguments];
        var process = place.Start([.. (string[])["serve", "--json"], .. given.Contains("--listen") ? given : ["--listen", "127.0.0.1:0", .. given]]);
        var line = await process.Line(text => text.StartsWith("{\"status\":\"ready\"", StringComparison.Ordinal));
        return new Server(process, JsonNode.Parse(line)!);
    }

    public Task<Answer> Get(string path, params (string Name, string Value)[] headers) => Send(new HttpRequestMessage(HttpMethod.Get, path), headers);

    public Task<Answer> Post(string path, JsonNode body, params (string Name, string Value)[] headers) =>
        Send(new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") }, headers);

    public async Task<Answer> Send(HttpRequestMessage request, params (string Name, string Value)[] headers)
    {
        foreach (var (name, value) in headers) { request.Headers.TryAddWithoutValidation(name, value); }
        using (request)
        {
            using var response = await Client.SendAsync(request, TestContext.Current.CancellationToken);
            return new Answer(response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), response.Content.Headers.ContentType, response.Headers);
        }
    }

    /// <summary>Starts a run and waits for its end.</summary>
    public async Task<JsonNode> Run(string daemon, JsonObject? inputs = null)
    {
        var answer = await Post("/v1/runs?wait=60", new JsonObject { ["daemon"] = daemon, ["inputs"] = inputs });
        Assert.True(answer.Status == HttpStatusCode.Created, answer.ToString());
        return answer.Json;
    }

    /// <summary>Tells it to leave, and waits until it has.</summary>
    public async Task<Finished> Stop()
    {
        Process.Send(PlatformProcess.Signal.Terminate);
        return await Process.End();
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Process.DisposeAsync();
    }
}

/// <summary>What the server answered.</summary>
public sealed record Answer(HttpStatusCode Status, string Body, MediaTypeHeaderValue? ContentType, HttpResponseHeaders Headers)
{
    public JsonNode Json => JsonNode.Parse(Body) ?? throw new InvalidOperationException("The answer is JSON's null.");

    /// <summary>The code of a problem.</summary>
    public string Problem
    {
        get
        {
            Assert.True(ContentType?.MediaType == "application/problem+json", ToString());
            Assert.Equal((int)Status, (int)Json["status"]!);
            return (string)Json["title"]!;
        }
    }

    public override string ToString() => $"{(int)Status} {ContentType}\n{Body}";
}

/// <summary>One server for all tests that leave it as it is.</summary>
public sealed class A_server : IAsyncLifetime
{
    public DataFolder Place { get; } = new();

    public Server Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await Server.Start(Place);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        await Place.DisposeAsync();
    }
}

[CollectionDefinition(nameof(On_one_server))]
#pragma warning disable CA1515, CA1711 // xunit's discovery wants it public; the name is the collection's.
public sealed class On_one_server : ICollectionFixture<A_server>;
#pragma warning restore CA1515, CA1711

/// <summary>Daemons of these tests.</summary>
internal static class Daemons
{
    public static string Hello { get; } = File.ReadAllText(Path.Combine(PlatformProcess.Root, "examples", "hello", "daemon.yaml"));

    /// <summary>Writes two files of a folder, one after the other.</summary>
    public const string Files = """
        spec: daemon/v1
        daemon:
          name: Files
          version: 1.0.0
          inputs:
            - { name: folder, type: file, required: true }
          permissions:
            files: { write: ['${ inputs.folder }'] }
            capabilities: [files.write]
          stages:
            - id: one
              tool: files.write
              with: { path: '${ inputs.folder }/one.txt', text: 'one' }
            - id: two
              tool: files.write
              with: { path: '${ inputs.folder }/two.txt', text: 'two' }
        """;

    /// <summary>Greets, then works for so long.</summary>
    public static string Sleeps(string seconds) => $"""
        spec: daemon/v1
        daemon:
          name: Sleeps
          version: 1.0.0
          stages:
            - id: quick
              script: echo one
            - id: wait
              script: sleep {seconds}
            - id: after
              set: {"{ done: yes }"}
        """;
}
