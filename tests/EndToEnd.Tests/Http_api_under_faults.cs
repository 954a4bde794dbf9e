using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Signal = Platform.EndToEnd.Tests.PlatformProcess.Signal;

namespace Platform.EndToEnd.Tests;

/// <summary>A folder whose database runs all the time, so that each test's servers need not start it.</summary>
public sealed class A_folder_with_its_database : IAsyncLifetime
{
    public DataFolder Place { get; } = new();

    public async ValueTask InitializeAsync()
    {
        var started = await Place.Run("db", "start");
        Assert.True(started.Code == 0, started.ToString());
    }

    public ValueTask DisposeAsync() => Place.DisposeAsync();
}

/// <summary>Servers that are told to leave, that lose their database, and that share their folder. Each test has its own servers.</summary>
public sealed class Http_api_under_faults(A_folder_with_its_database shared) : IClassFixture<A_folder_with_its_database>
{
    private readonly DataFolder place = shared.Place;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Told_to_leave_it_gives_a_long_stage_back_and_the_next_one_completes_the_run()
    {
        string run;
        await using (var server = await Server.Start(place, "--drain", "1"))
        {
            run = (string)(await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Sleeps("5") })).Json["id"]!;
            using var events = await Events.Open(server, $"/v1/runs/{run}/events");
            await events.Until(e => e.Type == "stage_started" && e.Data.Contains("\"wait\"", StringComparison.Ordinal));

            // Whoever waits is answered as things stand, and a stream ends.
            var waiting = server.Get($"/v1/runs/{run}?wait=60");
            var end = await server.Stop();
            Assert.True(end.Code == 0, end.ToString());
            Assert.Equal("running", (string?)(await waiting).Json["status"]);
            await foreach (var _ in events.All()) { }
        }

        await using var next = await Server.Start(place);
        var completed = await next.Get($"/v1/runs/{run}?wait=60");
        Assert.True((string?)completed.Json["status"] == "completed", completed.ToString());
        Assert.Equal(1, completed.Json["timeline"]!.AsArray().Count(stage => (string?)stage!["path"] == "quick"));
        Assert.True((bool)(await next.Post($"/v1/runs/{run}/replay", new JsonObject())).Json["same"]!);
        Assert.Equal(0, (await next.Stop()).Code);
    }

    [Fact]
    public async Task Told_to_leave_it_lets_a_short_stage_end_and_told_twice_it_leaves_at_once()
    {
        string run;
        await using (var server = await Server.Start(place, "--drain", "60"))
        {
            run = (string)(await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Sleeps("2") })).Json["id"]!;
            using var events = await Events.Open(server, $"/v1/runs/{run}/events");
            await events.Until(e => e.Type == "stage_started" && e.Data.Contains("\"wait\"", StringComparison.Ordinal));
            Assert.Equal(0, (await server.Stop()).Code);
        }

        await using var second = await Server.Start(place, "--drain", "600");
        var completed = (await second.Get($"/v1/runs/{run}?wait=60")).Json;
        Assert.Equal("completed", (string?)completed["status"]);
        Assert.Equal(1, (int)completed["timeline"]!.AsArray().Single(stage => (string?)stage!["path"] == "wait")!["attempts"]!);

        var longer = (string)(await second.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Sleeps("600") })).Json["id"]!;
        using (var events = await Events.Open(second, $"/v1/runs/{longer}/events")) { await events.Until(e => e.Type == "stage_started" && e.Data.Contains("\"wait\"", StringComparison.Ordinal)); }
        second.Process.Send(Signal.Interrupt);
        await Refused(second);
        second.Process.Send(Signal.Interrupt);
        Assert.Equal(130, (await second.Process.End()).Code);
    }

    [Fact]
    public async Task Without_its_database_it_lives_says_so_and_heals_by_itself()
    {
        // Another folder's, which this server uses as it would a PostgreSQL of its operator: it does not start that again by itself.
        await using var own = new DataFolder();
        var database = (await place.Run("db", "status", "--json")).Json;
        await using var server = await Server.Start(own, "--postgres", $"Host={database["socketFolder"]};Username=platform;Database=platform");
        using var events = await Events.Open(server, "/v1/events?type=run_completed&after=0");
        var before = (string)(await server.Run(Daemons.Hello))["id"]!;
        await events.Until(e => e.Data.Contains(before, StringComparison.Ordinal));

        // SIGINT is PostgreSQL's fast shutdown.
        PlatformProcess.Send((int)database["pid"]!, Signal.Interrupt);

        // It may hear first that its place among those that work on messages is gone.
        await Until(server, "/health/ready", answer =>
        {
            if (answer.Status != HttpStatusCode.ServiceUnavailable) { return false; }

            Assert.Contains(answer.Problem, (string[])["health.messages", "health.database"]);
            return answer.Problem == "health.database";
        });
        Assert.Equal(HttpStatusCode.OK, (await server.Get("/health/live")).Status);
        var refused = await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Hello }, ("Idempotency-Key", "over-the-outage"));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "store.unavailable"), (refused.Status, refused.Problem));
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.DoesNotContain("Npgsql", refused.Body, StringComparison.Ordinal);

        Assert.Equal(0, (await place.Run("db", "start")).Code);
        await Until(server, "/health/ready", answer => answer.Status == HttpStatusCode.OK);
        var again = await server.Post("/v1/runs?wait=60", new JsonObject { ["daemon"] = Daemons.Hello }, ("Idempotency-Key", "over-the-outage"));
        Assert.Equal("completed", (string?)again.Json["status"]);

        // The same stream, open all the time.
        await events.Until(e => e.Data.Contains((string)again.Json["id"]!, StringComparison.Ordinal));
        Assert.Equal(0, (await server.Stop()).Code);
    }

    [Fact]
    public async Task A_command_beside_it_shares_its_database_and_each_outlives_the_other()
    {
        // Of its own: the last one to leave stops the database.
        await using var own = new DataFolder();
        var quick = own.Write("quick.yaml", Daemons.Hello);
        var slow = own.Write("slow.yaml", Daemons.Sleeps("4"));
        await using var server = await Server.Start(own);

        var beside = await own.Run("run", quick, "--json");
        Assert.True(beside.Code == 0, beside.ToString());
        Assert.Equal("completed", (string?)(await server.Get($"/v1/runs/{beside.Json["id"]}")).Json["status"]);
        await server.Run(Daemons.Hello);
        Assert.Equal(HttpStatusCode.OK, (await server.Get("/health/ready")).Status);

        await using var going = own.Start("run", slow);
        await going.Line(line => line.Contains("ok ", StringComparison.Ordinal) && line.Contains("quick", StringComparison.Ordinal));
        Assert.Equal(0, (await server.Stop()).Code);
        var end = await going.End();
        Assert.True(end.Code == 0, end.ToString());
        Assert.Contains("Done.", end.Out, StringComparison.Ordinal);
        Assert.Null((await own.Run("db", "status", "--json")).Json["pid"]);
    }

    [Fact]
    public async Task With_a_token_it_answers_who_has_it_and_nobody_else()
    {
        const string token = "0123456789abcdef0123456789abcdef";
        var file = place.Write("token", token + "\n");
        await using (var server = await Server.Start(place, "--listen", "0.0.0.0:0", "--token-file", file))
        {
            using var client = new HttpClient { BaseAddress = new UriBuilder(server.Client.BaseAddress!) { Host = "127.0.0.1" }.Uri };
            async Task<HttpStatusCode> Ask(string path, string? authorization, string? host = null)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, path);
                if (authorization is not null) { request.Headers.TryAddWithoutValidation("Authorization", authorization); }
                request.Headers.Host = host;
                using var answer = await client.SendAsync(request, Cancellation);
                return answer.StatusCode;
            }

            foreach (var path in (string[])["/v1/runs", "/v1/events", "/openapi.json", "/nothing"])
            {
                foreach (var wrong in (string?[])[null, "", "Bearer", "Bearer ", $"Bearer {token}x", $"Bearer {token[..^1]}", $"Basic {token}", token]) { Assert.Equal(HttpStatusCode.Unauthorized, await Ask(path, wrong)); }
            }

            Assert.Equal(HttpStatusCode.OK, await Ask("/v1/runs", $"Bearer {token}"));
            Assert.Equal(HttpStatusCode.OK, await Ask("/v1/runs", $"bearer {token}", host: "platform.example"));
            Assert.Equal(HttpStatusCode.OK, await Ask("/health/ready", null));
            Assert.Equal(HttpStatusCode.OK, await Ask("/health/live", null));
        }

        // Over a Unix socket, whose file says who may; one that was left behind by a kill does not keep it from starting.
        var socket = Path.Combine(place.Root, "api.sock");
        for (var start = 0; start < 2; start++)
        {
            await using var process = place.Start("serve", "--json", "--listen", $"unix:{socket}");
            await process.Line(line => line.Contains("\"ready\"", StringComparison.Ordinal));
            using var handler = new SocketsHttpHandler
            {
                ConnectCallback = async (_, cancellation) =>
                {
                    var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellation);
                    return new NetworkStream(connection, ownsSocket: true);
                },
            };
            using var client = new HttpClient(handler);
            Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri("http://platform/health/ready"), Cancellation)).StatusCode);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
            process.Send(Signal.Kill);
            await process.End();
        }
    }

    private static async Task Until(Server server, string path, Func<Answer, bool> so)
    {
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        while (!so(await server.Get(path))) { patience.Token.ThrowIfCancellationRequested(); }
    }

    /// <summary>Until nobody listens any more.</summary>
    private static async Task Refused(Server server)
    {
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        try
        {
            while (true)
            {
                patience.Token.ThrowIfCancellationRequested();
                await server.Get("/health/live");
            }
        }
        catch (HttpRequestException) { /* It has begun to leave. */ }
    }
}
