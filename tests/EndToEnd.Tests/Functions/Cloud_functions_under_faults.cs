using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>The second host when processes die, time runs out, or the database goes away.</summary>
public sealed class Cloud_functions_under_faults
{
    private static Action<string> Print => line => TestContext.Current.TestOutputHelper?.WriteLine(line);

    [Fact]
    public async Task A_process_that_is_killed_in_the_middle_loses_nothing_and_does_nothing_twice()
    {
        await using var deployment = await Deployment.Make();
        var folder = Directory.CreateDirectory(deployment.Beside("folder")).FullName;
        var seed = RandomNumberGenerator.GetInt32(int.MaxValue);
        var queue = new StorageQueue(seed, mischief: true);
        await using var host = await deployment.Start(queue);
        var run = await Daemons.Start(host, Daemons.Ledger, folder);

        // Once: a message that is under way at two kills is taken for their cause.
        var (kill, done) = (3 + (seed % 12), 0);
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/runs/{run}", "completed"), async () =>
        {
            if (++done == kill) { await host.Kill(); }
        });
        Print($"seed {seed}: killed after {kill} of {host.Invocations} invocations");
        Assert.Equal(1, host.Crashes);
        Assert.Equal(string.Concat(Enumerable.Range(1, 6).Select(n => $"line {n}\n")), await File.ReadAllTextAsync(Path.Combine(folder, "journal.txt"), TestContext.Current.CancellationToken));
        Assert.Equal(Enumerable.Range(1, 6).Select(n => $"file {n}"), Directory.GetFiles(folder, "out-*.txt").Order(StringComparer.Ordinal).Select(File.ReadAllText));
        Assert.Equal(12, await deployment.Value<long>("select count(*) from mt_events where type = 'effect_confirmed'"));
        Assert.Empty(queue.Poison);
    }

    [Fact]
    public async Task A_message_that_takes_the_process_with_it_twice_is_a_dead_letter_before_it_is_tried_again()
    {
        await using var deployment = await Deployment.Make();
        var queue = new StorageQueue(0, mischief: false);
        await using var host = await deployment.Start(queue);
        var sleep = new LongScript();
        var run = await Daemons.Start(host, sleep.Daemon, null);
        var message = queue.Take()!;
        for (var crash = 1; crash <= 2; crash++)
        {
            var invocation = host.Deliver(message);
            await sleep.Runs();
            await host.Kill();
            Assert.False((await invocation).Succeeded);
            await sleep.Ends();
            Assert.Equal(message.InvocationId, (message = queue.Take()!).InvocationId);
        }

        var buried = await host.Deliver(message);
        Assert.True(buried.Succeeded, buried.Problem);
        Assert.Equal("ProcessDied", await deployment.Value<string>("select error_type from pl_dead_letters where type = 'execute_stage'"));
        Assert.Equal(2, await deployment.Value<int>("select attempts from pl_dead_letters where type = 'execute_stage'"));
        Assert.Equal("running", (string?)(await host.Request(HttpMethod.Get, $"/v1/runs/{run}")).Json!["status"]);
    }

    [Fact]
    public async Task An_invocation_ends_itself_below_functionTimeout_and_the_retry_under_its_id_goes_on()
    {
        await using var deployment = await Deployment.Make();
        var queue = new StorageQueue(0, mischief: false);

        // Only the one that is to end itself has little time, however slow the machine is.
        await using var hasty = await deployment.Start(queue, functionTimeout: "00:00:14");
        await using var host = await deployment.Start(queue);
        var sleep = new LongScript();
        var run = await Daemons.Start(host, sleep.Daemon, null);
        var message = queue.Take()!;
        var process = hasty.ProcessId;
        var ended = await hasty.Deliver(message);
        Assert.Equal((500, "invocation.deadline"), (ended.Status, (string?)ended.Answer["title"]));
        Assert.Equal((process, 0), (hasty.ProcessId, hasty.Crashes));
        await sleep.Ends();

        var cancelled = await host.Request(HttpMethod.Post, $"/v1/runs/{run}/cancel", new JsonObject());
        Assert.True(cancelled.Status == 202, cancelled.ToString());
        var again = queue.Take()!;
        Assert.Equal((message.InvocationId, 2), (again.InvocationId, again.Dequeued));
        var retried = await host.Deliver(again);
        Assert.True(retried.Succeeded, retried.Problem);
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/runs/{run}", "cancelled"));
        Assert.Equal(0, await deployment.Value<long>("select count(*) from pl_dead_letters"));
    }

    [Fact]
    public async Task A_store_that_is_away_is_503_for_a_caller_and_a_failure_that_comes_again_for_the_host()
    {
        await using var deployment = await Deployment.Make();
        await using var relay = new Relay(deployment.ConnectionString);
        var queue = new StorageQueue(0, mischief: false);
        var folder = Directory.CreateDirectory(deployment.Beside("folder")).FullName;
        relay.Cut();
        await using var host = await deployment.Start(queue, postgres: relay.ConnectionString);
        await AssertAway();
        relay.Heal();
        var run = await Daemons.Start(host, Daemons.Ledger, folder);

        // And once more in the middle, with connections that are open.
        relay.Cut();
        await AssertAway();
        var message = queue.Take()!;
        var failed = await host.Deliver(message);
        Assert.Equal(503, failed.Status);
        relay.Heal();
        var again = queue.Take()!;
        Assert.Equal(message.InvocationId, again.InvocationId);
        var retried = await host.Deliver(again);
        Assert.True(retried.Succeeded, retried.Problem);
        await host.Pump(() => Daemons.HasEnded(host, $"/v1/runs/{run}", "completed"));
        Assert.Equal(0, host.Crashes);

        async Task AssertAway()
        {
            var timer = host.FireTimer();
            var answers = await Task.WhenAll(
                host.Request(HttpMethod.Get, $"/v1/runs/{Guid.NewGuid()}"),
                host.Request(HttpMethod.Post, "/v1/runs", new JsonObject { ["daemon"] = Daemons.Ledger, ["inputs"] = new JsonObject { ["folder"] = folder } }));
            foreach (var answer in answers) { Assert.Equal((503, "store.unavailable"), (answer.Status, (string?)answer.Json?["title"])); }
            Assert.Equal(503, (await timer).Status);
        }
    }

    [Fact]
    public async Task A_cancellation_is_heard_by_another_instance_in_the_middle_of_a_stage()
    {
        await using var deployment = await Deployment.Make();
        var queue = new StorageQueue(0, mischief: false);
        await using var one = await deployment.Start(queue);
        await using var other = await deployment.Start(queue);
        var sleep = new LongScript();
        var run = await Daemons.Start(one, sleep.Daemon, null);
        var stage = one.Deliver(queue.Take()!);
        await sleep.Runs();
        var cancelled = await other.Request(HttpMethod.Post, $"/v1/runs/{run}/cancel", new JsonObject { ["reason"] = "enough" });
        Assert.True(cancelled.Status == 202, cancelled.ToString());
        var heard = await stage.WaitAsync(PlatformProcess.Patience, TestContext.Current.CancellationToken);
        Assert.True(heard.Succeeded, heard.Problem);
        await sleep.Ends();
        await other.Pump(() => Daemons.HasEnded(other, $"/v1/runs/{run}", "cancelled"));
    }
}
