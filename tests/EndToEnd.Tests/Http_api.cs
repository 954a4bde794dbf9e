using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests;

/// <summary>The HTTP API of the real <c>platform serve</c>, called over a real socket.</summary>
[Collection(nameof(On_one_server))]
public sealed class Http_api(A_server on)
{
    private readonly Server server = on.Server;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_run_is_started_waited_for_and_read()
    {
        var begun = await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Hello, ["inputs"] = new JsonObject { ["who"] = "Ada" } }, ("Prefer", "wait=60"));
        Assert.Equal(HttpStatusCode.Created, begun.Status);
        Assert.Equal("wait=60", begun.Headers.GetValues("Preference-Applied").Single());
        Assert.Equal("completed", (string?)begun.Json["status"]);
        Assert.Equal("Hello, Ada!", (string?)begun.Json["outputs"]!["greeting"]);
        Assert.Equal("11", begun.Json["outputs"]!["length"]!.ToJsonString());

        var read = await server.Get(begun.Headers.Location!.OriginalString);
        Assert.Equal(HttpStatusCode.OK, read.Status);
        Assert.Equal(begun.Json.ToJsonString(), read.Json.ToJsonString());

        var replay = await server.Post($"/v1/runs/{begun.Json["id"]}/replay", new JsonObject());
        Assert.True((bool)replay.Json["same"]!, replay.ToString());
        var trail = (await server.Get($"/v1/runs/{begun.Json["id"]}/audit")).Json["entries"]!.AsArray();
        Assert.Equal("Started 'Hello' 1.0.0.", (string?)trail[0]!["what"]);
        Assert.All(trail, entry => Assert.False(string.IsNullOrEmpty((string?)entry!["who"])));
    }

    [Fact]
    public async Task The_same_key_starts_once_and_another_body_is_a_conflict()
    {
        var key = $"key-{Guid.NewGuid()}";
        JsonObject Body(string who) => new() { ["daemon"] = Daemons.Hello, ["inputs"] = new JsonObject { ["who"] = who } };
        var both = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => server.Post("/v1/runs", Body("Ada"), ("Idempotency-Key", key))));
        Assert.Single(both, answer => answer.Status == HttpStatusCode.Created);
        Assert.All(both, answer => Assert.True(answer.Status is HttpStatusCode.Created or HttpStatusCode.OK, answer.ToString()));
        Assert.Single(both.Select(answer => (string?)answer.Json["id"]).Distinct());

        var other = await server.Post("/v1/runs", Body("Bob"), ("Idempotency-Key", key));
        Assert.Equal((HttpStatusCode.Conflict, "command.conflict"), (other.Status, other.Problem));
    }

    [Fact]
    public async Task What_the_caller_must_correct_is_named()
    {
        var unsound = await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Hello.Replace("script:", "scrpt:", StringComparison.Ordinal) });
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "daemon.invalid"), (unsound.Status, unsound.Problem));
        Assert.Contains(unsound.Json["diagnostics"]!.AsArray(), found => (int)found!["line"]! > 1 && ((string)found["message"]!).Contains("scrpt", StringComparison.Ordinal));

        var check = await server.Post("/v1/daemons/check", new JsonObject { ["daemon"] = Daemons.Hello });
        Assert.True((bool)check.Json["sound"]!, check.ToString());

        var input = await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Hello, ["inputs"] = new JsonObject { ["whom"] = "Ada" } });
        Assert.Equal("inputs.unknown", input.Problem);
        var member = await server.Post("/v1/runs", new JsonObject { ["deamon"] = Daemons.Hello });
        Assert.Equal((HttpStatusCode.BadRequest, "body.invalid"), (member.Status, member.Problem));
        Assert.Contains("deamon", (string)member.Json["detail"]!, StringComparison.Ordinal);
        var parameter = await server.Get("/v1/runs?statsu=failed");
        Assert.Equal((HttpStatusCode.BadRequest, "query.invalid"), (parameter.Status, parameter.Problem));
        var nobody = await server.Get($"/v1/runs/{Guid.NewGuid()}");
        Assert.Equal((HttpStatusCode.NotFound, "run.not-found"), (nobody.Status, nobody.Problem));
        Assert.Equal("http.not-found", (await server.Get("/v1/nothing")).Problem);
        var method = await server.Send(new HttpRequestMessage(HttpMethod.Put, "/v1/runs"));
        Assert.Equal((HttpStatusCode.MethodNotAllowed, "http.method-not-allowed"), (method.Status, method.Problem));
    }

    [Fact]
    public async Task Bodies_are_json_of_a_bounded_size()
    {
        var form = await server.Send(new HttpRequestMessage(HttpMethod.Post, "/v1/runs") { Content = new StringContent("{}", Encoding.UTF8, "text/plain") });
        Assert.Equal((HttpStatusCode.UnsupportedMediaType, "http.not-json"), (form.Status, form.Problem));
        var nothing = await server.Send(new HttpRequestMessage(HttpMethod.Post, $"/v1/runs/{Guid.NewGuid()}/cancel"));
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, nothing.Status);
        var large = await server.Post("/v1/runs", new JsonObject { ["daemon"] = new string('x', 3 * 1024 * 1024) }, ("Expect", "100-continue"));
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "http.too-large"), (large.Status, large.Problem));
        var broken = await server.Send(new HttpRequestMessage(HttpMethod.Post, "/v1/runs") { Content = new StringContent("{\"daemon\":", Encoding.UTF8, "application/json") });
        Assert.Equal((HttpStatusCode.BadRequest, "body.not-json"), (broken.Status, broken.Problem));
    }

    [Fact]
    public async Task The_list_has_pages_and_filters()
    {
        var name = $"List {Guid.NewGuid():n}";
        var daemon = $"spec: daemon/v1\ndaemon:\n  name: {name}\n  stages:\n    - set: {{ a: 1 }}\n";
        var ids = new List<string>();
        for (var i = 0; i < 5; i++) { ids.Add((string)(await server.Run(daemon))["id"]!); }
        var failing = await server.Run($"spec: daemon/v1\ndaemon:\n  name: {name}\n  stages:\n    - raise: {{ error: sorry, message: no }}\n");
        Assert.Equal("failed", (string?)failing["status"]);

        var seen = new List<string>();
        string? next = $"/v1/runs?limit=2&daemon={Uri.EscapeDataString(name)}&status=completed";
        for (var pages = 0; next is not null; pages++)
        {
            Assert.True(pages < 5);
            var page = await server.Get(next);
            Assert.True(page.Status == HttpStatusCode.OK, page.ToString());
            seen.AddRange(page.Json["runs"]!.AsArray().Select(run => (string)run!["id"]!));
            next = (string?)page.Json["next"];
        }

        Assert.Equal(ids.AsEnumerable().Reverse(), seen);

        async Task<int> Count(string filter) => (await server.Get($"/v1/runs?daemon={Uri.EscapeDataString(name)}&{filter}")).Json["runs"]!.AsArray().Count;
        var third = Uri.EscapeDataString((string)(await server.Get($"/v1/runs/{ids[2]}")).Json["startedAt"]!);
        Assert.Equal(4, await Count($"startedFrom={third}"));
        Assert.Equal(2, await Count($"startedTo={third}"));
        Assert.Equal(1, await Count("status=failed"));
        Assert.Equal("query.invalid", (await server.Get("/v1/runs?limit=0")).Problem);
        Assert.Equal("query.invalid", (await server.Get($"/v1/runs?after={Guid.NewGuid()}")).Problem);
    }

    [Fact]
    public async Task A_long_stage_is_cancelled_and_the_run_forked_from_it()
    {
        var run = (string)(await server.Post("/v1/runs", new JsonObject { ["daemon"] = Daemons.Sleeps("600") })).Json["id"]!;
        using var events = await Events.Open(server, $"/v1/runs/{run}/events");
        await events.Until(e => e.Type == "stage_started" && e.Data.Contains("\"wait\"", StringComparison.Ordinal));

        var cancelled = await server.Post($"/v1/runs/{run}/cancel?wait=60", new JsonObject { ["reason"] = "enough" });
        Assert.Equal(HttpStatusCode.Accepted, cancelled.Status);
        Assert.Equal("cancelled", (string?)cancelled.Json["status"]);
        Assert.Equal(HttpStatusCode.OK, (await server.Post($"/v1/runs/{run}/cancel", new JsonObject())).Status);

        var mended = Daemons.Sleeps("0");
        var fork = await server.Post($"/v1/runs/{run}/fork?wait=60", new JsonObject { ["from"] = "wait", ["daemon"] = mended }, ("Idempotency-Key", $"fork-{run}"));
        Assert.True(fork.Status == HttpStatusCode.Created, fork.ToString());
        Assert.Equal(("completed", run), ((string?)fork.Json["status"], (string?)fork.Json["forkedFrom"]));
        var again = await server.Post($"/v1/runs/{run}/fork", new JsonObject { ["from"] = "wait", ["daemon"] = mended }, ("Idempotency-Key", $"fork-{run}"));
        Assert.Equal((HttpStatusCode.OK, (string?)fork.Json["id"]), (again.Status, (string?)again.Json["id"]));
        var ended = await server.Post($"/v1/runs/{fork.Json["id"]}/cancel", new JsonObject());
        Assert.Equal((HttpStatusCode.Conflict, "run.ended"), (ended.Status, ended.Problem));
    }

    [Fact]
    public async Task An_undo_is_planned_carried_out_once_and_says_what_it_did()
    {
        var folder = Directory.CreateDirectory(Path.Combine(on.Place.Root, "undo")).FullName;
        var run = await server.Run(Daemons.Files, new JsonObject { ["folder"] = folder });
        Assert.Equal("completed", (string?)run["status"]);
        await File.WriteAllTextAsync(Path.Combine(folder, "two.txt"), "changed by somebody", Cancellation);

        var selection = new JsonObject { ["run"] = (string)run["id"]! };
        var plan = await server.Post("/v1/undos/plan", selection);
        Assert.Equal(2, plan.Json["lines"]!.AsArray().Count);
        Assert.True(File.Exists(Path.Combine(folder, "one.txt")));

        var undo = await server.Post("/v1/undos?wait=60", selection, ("Idempotency-Key", $"undo-{run["id"]}"));
        Assert.True(undo.Status == HttpStatusCode.Accepted, undo.ToString());
        Assert.Equal("completed", (string?)undo.Json["status"]);
        Assert.False(File.Exists(Path.Combine(folder, "one.txt")));
        Assert.Equal("changed by somebody", await File.ReadAllTextAsync(Path.Combine(folder, "two.txt"), Cancellation));
        Assert.True((bool)undo.Json["partial"]!);
        Assert.Contains(undo.Json["lines"]!.AsArray(), line => (string?)line!["outcome"] == "refused" && ((string)line["because"]!).Contains("two.txt", StringComparison.Ordinal));

        var again = await server.Post("/v1/undos", selection, ("Idempotency-Key", $"undo-{run["id"]}"));
        Assert.Equal((string?)undo.Json["id"], (string?)again.Json["id"]);
        Assert.Equal(undo.Json.ToJsonString(), (await server.Get(undo.Headers.Location!.OriginalString)).Json.ToJsonString());
        Assert.Equal("undo.selection", (await server.Post("/v1/undos", new JsonObject())).Problem);
    }

    [Fact]
    public async Task A_stream_of_events_goes_on_where_it_was_cut_and_ends_with_the_run()
    {
        var run = (string)(await server.Run(Daemons.Hello))["id"]!;
        var whole = new List<long>();
        using (var events = await Events.Open(server, $"/v1/runs/{run}/events"))
        {
            await foreach (var e in events.All()) { whole.Add(e.Id); }
        }

        Assert.Equal(Enumerable.Range(1, whole.Count).Select(n => (long)n), whole);

        // Cut after each event in turn; what was seen before and after the cut is the whole, once.
        for (var cut = 1; cut <= whole.Count; cut++)
        {
            var parts = new List<long>();
            using (var before = await Events.Open(server, $"/v1/runs/{run}/events"))
            {
                while (parts.Count < cut) { parts.Add((await before.Until(_ => true)).Id); }
            }

            using var after = await Events.Open(server, $"/v1/runs/{run}/events", parts[^1]);
            Assert.Equal(cut == whole.Count ? HttpStatusCode.NoContent : HttpStatusCode.OK, after.Status);
            await foreach (var e in after.All()) { parts.Add(e.Id); }
            Assert.Equal(whole, parts);
        }

        var pages = (await server.Get($"/v1/runs/{run}/events?limit=3")).Json;
        Assert.Equal([1, 2, 3], pages["events"]!.AsArray().Select(e => (int)e!["version"]!));
        Assert.Equal(4, (int)(await server.Get((string)pages["next"]!)).Json["events"]!.AsArray()[0]!["version"]!);
    }

    [Fact]
    public async Task The_tenants_stream_misses_nothing_and_doubles_nothing_over_cuts_while_runs_go_on()
    {
        const int count = 6;
        var name = $"Streamed {Guid.NewGuid():n}";
        var runs = Task.WhenAll(Enumerable.Range(0, count).Select(_ => server.Run($"spec: daemon/v1\ndaemon:\n  name: {name}\n  stages:\n    - set: {{ a: 1 }}\n")));
        var (positions, ours, last) = (new List<long>(), 0, 0L);
        while (ours < count)
        {
            // Cut after every second event.
            using var events = await Events.Open(server, "/v1/events?type=run_started", last);
            for (var n = 0; n < 2 && ours < count; n++)
            {
                var e = await events.Until(_ => true);
                Assert.Equal("run_started", e.Type);
                if (e.Data.Contains(name, StringComparison.Ordinal)) { ours++; }
                positions.Add(last = e.Id);
            }
        }

        await runs;
        var log = new List<long>();
        for (string? next = "/v1/events?type=run_started&limit=3"; next is not null;)
        {
            var page = (await server.Get(next)).Json;
            log.AddRange(page["events"]!.AsArray().Select(e => (long)e!["position"]!));
            next = (string?)page["next"];
        }

        Assert.Equal(log.TakeWhile(position => position <= last), positions);
    }

    [Fact]
    public async Task Event_streams_are_bounded_and_what_does_not_fit_moves_the_place_on()
    {
        var streams = new List<Events>();
        try
        {
            while (streams.Count <= 100)
            {
                var one = await Events.Open(server, "/v1/events?type=no_such_type&after=0");
                streams.Add(one);
                if (one.Status != HttpStatusCode.OK) { break; }
            }

            Assert.Equal(HttpStatusCode.ServiceUnavailable, streams[^1].Status);
            Assert.InRange(streams.Count, 2, 100);
        }
        finally
        {
            foreach (var stream in streams) { stream.Dispose(); }
        }

        // Those that were left make room again.
        while (true)
        {
            using var again = await Events.Open(server, "/v1/events?after=latest");
            if (again.Status == HttpStatusCode.OK) { break; }
        }
    }

    [Fact]
    public async Task Health_and_documents_are_served()
    {
        Assert.Equal("live", (string?)(await server.Get("/health/live")).Json["status"]);
        Assert.Equal("ready", (string?)(await server.Get("/health/ready")).Json["status"]);
        Assert.Equal("3.1.0", (string?)(await server.Get("/openapi.json")).Json["openapi"]);
        Assert.NotNull((await server.Get("/schemas/daemon.json")).Json["$schema"]);
        var audit = await server.Get("/v1/audit");
        Assert.NotEmpty((string)audit.Json["key"]!["publicKey"]!);
    }

    [Theory]
    [InlineData("Host", "evil.example", HttpStatusCode.MisdirectedRequest, "http.wrong-host")]
    [InlineData("Host", "127.0.0.1.evil.example:5080", HttpStatusCode.MisdirectedRequest, "http.wrong-host")]
    [InlineData("Origin", "https://evil.example", HttpStatusCode.Forbidden, "http.cross-site")]
    [InlineData("Origin", "null", HttpStatusCode.Forbidden, "http.cross-site")]
    [InlineData("Sec-Fetch-Site", "cross-site", HttpStatusCode.Forbidden, "http.cross-site")]
    public async Task A_page_of_another_site_cannot_call(string header, string value, HttpStatusCode status, string code)
    {
        foreach (var path in (string[])["/v1/runs", "/health/ready", "/v1/events"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            if (header == "Host") { request.Headers.Host = value; }
            var answer = await server.Send(request, header == "Host" ? [] : [(header, value)]);
            Assert.Equal((status, code), (answer.Status, answer.Problem));
            Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
        }

        // What a browser does not mark as another site's passes.
        Assert.Equal(HttpStatusCode.OK, (await server.Get("/v1/runs", ("Sec-Fetch-Site", "same-origin"))).Status);
        Assert.Equal(HttpStatusCode.OK, (await server.Get("/v1/runs", ("Origin", server.Client.BaseAddress!.GetLeftPart(UriPartial.Authority)))).Status);
    }

    [Fact]
    public async Task A_taken_port_is_said_at_once()
    {
        var second = await on.Place.Run("serve", "--listen", server.Client.BaseAddress!.Authority);
        Assert.True(second.Code == 2, second.ToString());
        Assert.Contains("serve.address-taken", second.Error, StringComparison.Ordinal);
        Assert.Contains("--listen", second.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("serve.token", "--listen", "0.0.0.0:0")]
    [InlineData("serve.token", "--listen", "[::]:0")]
    [InlineData("serve.listen", "--listen", "somewhere")]
    [InlineData("serve.token", "--token-file", "/nowhere/token")]
    [InlineData("serve.drain", "--drain", "-1")]
    public async Task What_would_be_unsafe_or_makes_no_sense_is_refused(string code, string option, string value)
    {
        var refused = await on.Place.Run("serve", option, value);
        Assert.True(refused.Code == 2, refused.ToString());
        Assert.Contains(code, refused.Error, StringComparison.Ordinal);
    }
}

/// <summary>A client of server-sent events, as far as these tests need one.</summary>
internal sealed class Events : IDisposable
{
    private readonly HttpResponseMessage response;
    private readonly StreamReader reader;

    private Events(HttpResponseMessage response, StreamReader reader) => (this.response, this.reader) = (response, reader);

    public HttpStatusCode Status => response.StatusCode;

    public static async Task<Events> Open(Server server, string path, long? lastEventId = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        if (lastEventId is { } id) { request.Headers.Add("Last-Event-ID", id.ToString(CultureInfo.InvariantCulture)); }
        var response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        return new Events(response, new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken)));
    }

    /// <summary>Events to the end of the stream; frames that hold an id only are left out, as by a browser.</summary>
    public async IAsyncEnumerable<(long Id, string Type, string Data)> All()
    {
        var (id, type, data) = (0L, "", "");
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            if (line.StartsWith("id: ", StringComparison.Ordinal)) { id = long.Parse(line.AsSpan(4), CultureInfo.InvariantCulture); }
            else if (line.StartsWith("event: ", StringComparison.Ordinal)) { type = line[7..]; }
            else if (line.StartsWith("data: ", StringComparison.Ordinal)) { data = line[6..]; }
            else if (line.Length == 0)
            {
                if (data.Length > 0) { yield return (id, type, data); }
                (type, data) = ("", "");
            }
        }
    }

    public async Task<(long Id, string Type, string Data)> Until(Func<(long Id, string Type, string Data), bool> wanted)
    {
        await foreach (var e in All())
        {
            if (wanted(e)) { return e; }
        }

        throw new InvalidOperationException("The stream ended without the event.");
    }

    public void Dispose()
    {
        reader.Dispose();
        response.Dispose();
    }
}
