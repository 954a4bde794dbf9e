using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>The real executable of the second host, driven by the contract of Azure Functions' custom handlers.</summary>
public sealed class Cloud_functions
{
    private static readonly string SortFolder = Path.Combine(PlatformProcess.Root, "examples", "sort-folder");

    private static Action<string> Print => line => TestContext.Current.TestOutputHelper?.WriteLine(line);

    [Fact]
    public async Task The_same_run_and_its_undo_give_the_same_events_in_both_hosts_whatever_the_queue_does()
    {
        await using var there = await Deployment.Make();
        await using var here = await Deployment.Make();
        var inbox = there.Beside("inbox");
        var before = Fill(inbox);
        var daemon = Path.Combine(SortFolder, "daemon.yaml");

        string[] at = ["--postgres", there.ConnectionString, "--data", there.Data, "--json"];
        var ran = await PlatformProcess.Run(["run", daemon, "--input", $"folder={inbox}", .. at]);
        Assert.True(ran.Code == 0, ran.ToString());
        var runThere = Guid.Parse((string)ran.Json["id"]!);
        var sorted = Contents(inbox);
        var undid = await PlatformProcess.Run(["undo", $"{runThere}", "--yes", .. at]);
        Assert.True(undid.Code == 0, undid.ToString());
        Assert.Equal(before, Contents(inbox));

        var seed = RandomNumberGenerator.GetInt32(int.MaxValue);
        var queue = new StorageQueue(seed, mischief: true);
        await using var host = await here.Start(queue);
        var run = await Daemons.Start(host, await File.ReadAllTextAsync(daemon, TestContext.Current.CancellationToken), inbox);
        var garbage = Forge(queue, run);
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/runs/{run}", "completed"));
        Assert.Equal(sorted, Contents(inbox));
        Assert.Equal(garbage.Order(), queue.Poison.Order());
        AssertSame(await EventLog.Read(there.ConnectionString, runThere, Environment.UserName, "judge"), await EventLog.Read(here.ConnectionString, run, "http", "judge"));

        var selection = new JsonObject { ["run"] = $"{run}" };
        var plan = await host.Request(HttpMethod.Post, "/v1/undos/plan", selection.DeepClone());
        Assert.True(plan.Status == 200 && !(bool)plan.Json!["partial"]!, plan.ToString());
        var asked = await host.Request(HttpMethod.Post, "/v1/undos", selection, Daemons.Key("undo"));
        Assert.True(asked.Status == 202, asked.ToString());
        var undo = Guid.Parse((string)asked.Json!["id"]!);
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/undos/{undo}", "completed"));
        Assert.Equal(before, Contents(inbox));
        AssertSame(await EventLog.Read(there.ConnectionString, Guid.Parse((string)undid.Json["undo"]!), Environment.UserName), await EventLog.Read(here.ConnectionString, undo, "http"));
        Print($"seed {seed}: {host.Invocations} invocations, {queue.Doubled} hints doubled, {queue.Lost} lost");
    }

    [Fact]
    public async Task Requests_reach_the_same_endpoints_proxied_forwarded_and_in_an_envelope()
    {
        await using var deployment = await Deployment.Make();
        var queue = new StorageQueue(0, mischief: false);
        var folder = Directory.CreateDirectory(deployment.Beside("folder")).FullName;
        await using var host = await deployment.Start(queue);
        Assert.Equal(401, (await host.Request(HttpMethod.Get, $"/v1/runs/{Guid.NewGuid()}", key: null)).Status);
        foreach (var forwarding in (bool[])[false, true])
        {
            Assert.Equal(404, (await host.Request(HttpMethod.Get, $"/v1/runs/{Guid.NewGuid()}", forwarding: forwarding)).Status);
            Assert.Equal(400, (await host.Request(HttpMethod.Get, "/v1/runs/nonsense", forwarding: forwarding)).Status);
            Assert.Equal(400, (await host.Request(HttpMethod.Get, "/v1/runs?limit=1&limit=2", forwarding: forwarding)).Status);
        }

        // The same command under its id is the same run; another one under it is a conflict, and a wrong one a problem of its own.
        var first = await Start(Daemons.Ledger, "one");
        Assert.True(first.Status == 201, first.ToString());
        Assert.Equal(1, queue.Count);
        Assert.Equal((200, (string?)first.Json!["id"]), await Start(Daemons.Ledger, "one") is { } repeated ? (repeated.Status, (string?)repeated.Json!["id"]) : default);
        Assert.Equal(409, (await Start(Daemons.Ledger.Replace("line", "word", StringComparison.Ordinal), "one")).Status);
        var refused = await Start("no daemon", "two");
        Assert.Equal((422, "daemon.invalid"), (refused.Status, (string?)refused.Json!["title"]));
        Assert.Equal(404, (await host.Request(HttpMethod.Post, $"/v1/runs/{Guid.NewGuid()}/cancel", new JsonObject())).Status);

        var check = await host.Request(HttpMethod.Post, "/v1/daemons/check", new JsonObject { ["daemon"] = "no daemon" });
        Assert.True(check.Status == 200, check.ToString());
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/runs/{first.Json["id"]}", "completed"));
        Assert.True((await host.FireTimer()).Succeeded);
        foreach (var path in (string[])["/v1/runs", "/v1/events", $"/v1/runs/{first.Json["id"]}/events", $"/v1/runs/{first.Json["id"]}/audit"])
        {
            var listed = await host.Request(HttpMethod.Get, path);
            Assert.True(listed.Status == 200 && listed.Body.Contains((string)first.Json["id"]!, StringComparison.Ordinal), $"{path}: {listed}");
        }

        var audit = await host.Request(HttpMethod.Get, "/v1/audit");
        Assert.True(audit.Status == 200 && (long)audit.Json!["events"]! == (long)audit.Json["checkpoint"]!["events"]!, audit.ToString());
        var replay = await host.Request(HttpMethod.Post, $"/v1/runs/{first.Json["id"]}/replay", new JsonObject());
        Assert.True(replay.Status == 200 && (bool)replay.Json!["same"]!, replay.ToString());

        // What begins something is named to the queue at once, not half a minute later by the timer.
        var undo = await host.Request(HttpMethod.Post, "/v1/undos", new JsonObject { ["run"] = (string)first.Json["id"]! });
        Assert.Equal((202, 1), (undo.Status, queue.Count));

        // A stream would hold its invocation open until the host kills the process.
        var stream = await host.Request(HttpMethod.Get, "/v1/events", headers: new Dictionary<string, string> { ["Accept"] = "text/event-stream" });
        Assert.Equal(503, stream.Status);

        Task<HttpAnswer> Start(string daemon, string id) =>
            host.Request(HttpMethod.Post, "/v1/runs", new JsonObject { ["daemon"] = daemon, ["inputs"] = new JsonObject { ["folder"] = folder } }, Daemons.Key(id));
    }

    [Theory]
    [InlineData("PLATFORM_POSTGRES", null, "PLATFORM_POSTGRES is not set")]
    [InlineData("PLATFORM_POSTGRES", "@Microsoft.KeyVault(SecretUri=https://x)", "was not resolved")]
    [InlineData("PLATFORM_DATA", null, "PLATFORM_DATA is not set")]
    [InlineData("PLATFORM_DATA", "/nowhere/at/all", "is the share mounted there")]
    [InlineData("PLATFORM_DATA", "/proc", "nothing can be written there")]
    [InlineData("AzureFunctionsJobHost__functionTimeout", "00:00:03", "functionTimeout is '00:00:03'")]
    [InlineData("FUNCTIONS_CUSTOMHANDLER_PORT", "http", "FUNCTIONS_CUSTOMHANDLER_PORT is not set")]
    public async Task A_wrong_deployment_ends_at_its_start_and_says_why(string setting, string? value, string why)
    {
        var settings = new Dictionary<string, string?>
        {
            ["FUNCTIONS_CUSTOMHANDLER_PORT"] = "1",
            ["PLATFORM_POSTGRES"] = "Host=/nowhere",
            ["PLATFORM_DATA"] = Path.GetTempPath(),
            [setting] = value,
        };
        await using var process = PlatformProcess.Start(PlatformProcess.BinaryOf("CloudFunctions", "Platform.CloudFunctions"), [], settings);
        var end = await process.End();
        Assert.Equal(2, end.Code);
        Assert.Contains(why, end.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", end.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "type": "queue", "direction": "out", "name": "messages", "queueName": "Platform_Messages", "connection": "AzureWebJobsStorage" }""")]
    [InlineData("""{ "type": "queue", "direction": "out", "name": "messages", "queueName": "platform-messages" }""")]
    [InlineData("""{ "type": "queue", "direction": "in", "name": "messages", "queueName": "platform-messages", "connection": "AzureWebJobsStorage" }""")]
    [InlineData("""{ "type": "queues", "direction": "out", "name": "messages" }""")]
    [InlineData("""{ "type": "timerTrigger", "direction": "in", "name": "again", "schedule": "*/30 * * * * *" }""")]
    [InlineData("""{ "type": "http", "direction": "out", "name": "res" }""")]
    public void The_stand_in_refuses_what_the_host_would(string binding)
    {
        var bindings = new JsonArray(new JsonObject { ["type"] = "timerTrigger", ["direction"] = "in", ["name"] = "timer", ["schedule"] = "*/30 * * * * *" }, JsonNode.Parse(binding));
        Assert.Throws<RefusedException>(() => ScriptRoot.ReadFunction("Wrong", new JsonObject { ["bindings"] = bindings }));
    }


    /// <summary>What anybody with the queue's key can put there.</summary>
    /// <returns>What is no hint at all, and must end as poison.</returns>
    private static string[] Forge(StorageQueue queue, Guid run)
    {
        string[] garbage = ["", "nonsense", "[]", "{}", $$"""{"tenant":"no/tenant","id":"{{Guid.NewGuid()}}"}""", $$"""{"tenant":"acme","tenant":"*DEFAULT*","id":"{{run}}"}""", new string('[', 200), new string('x', 60_000), Convert.ToBase64String(Encoding.UTF8.GetBytes("{}"))];
        string[] hints =
        [
            $$"""{"tenant":"*DEFAULT*","id":"{{Guid.NewGuid()}}"}""",
            $$"""{"tenant":"acme","id":"{{run}}"}""",
            $$"""{"tenant":"*DEFAULT*","id":"{{run}}","DequeueCount":"0","sys":"none","Id":"forged","message":"no"}""",
        ];
        foreach (var text in (string[])[.. garbage, .. hints]) { queue.Put(text); }
        return garbage;
    }

    private static SortedDictionary<string, string> Fill(string inbox)
    {
        Directory.CreateDirectory(inbox);
        foreach (var file in Directory.GetFiles(Path.Combine(SortFolder, "inbox"))) { File.Copy(file, Path.Combine(inbox, Path.GetFileName(file))); }
        return Contents(inbox);
    }

    private static SortedDictionary<string, string> Contents(string folder)
    {
        var contents = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var entry in Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories))
        {
            contents.Add(Path.GetRelativePath(folder, entry), Directory.Exists(entry) ? "folder" : Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(entry))));
        }

        return contents;
    }

    private static void AssertSame(IReadOnlyList<string> expected, IReadOnlyList<string> actual)
    {
        Assert.NotEmpty(expected);
        foreach (var (there, here) in expected.Zip(actual)) { Assert.Equal(there, here); }
        Assert.Equal(expected.Count, actual.Count);
    }
}
