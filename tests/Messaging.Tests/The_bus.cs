using Platform.Tests.Counting;

namespace Platform.Messaging.Tests;

public sealed class The_bus : IServiceProvider, IDice
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly InMemoryStore store = new(Handlers.Table.EventTypes());
    private readonly CounterId id = new(Guid.NewGuid());
    private Func<Step, CancellationToken, Task<int>> roll = static (_, _) => Task.FromResult(1);

    public object? GetService(Type serviceType) => serviceType == typeof(IDice) ? this : null;

    public Task<int> Roll(Step step, CancellationToken cancellation) => roll(step, cancellation);

    private Bus Bus() => new(Handlers.Table, store, store, this, TimeProvider.System, Guid.CreateVersion7);

    private Task<CommandAnswer> Ask(Bus bus, object command, string? commandId = null) =>
        bus.Invoke(command, new InvokeOptions(TenantId.Default, commandId), TestContext.Current.CancellationToken);

    private async Task<Counter?> Counter() => (await store.Load(TenantId.Default, id.Value, Folds.Counter, TestContext.Current.CancellationToken)).State;

    /// <summary>Looks until it is so; a deadline far beyond any machine's slowness ends a test that would wait for ever.</summary>
    private static async Task Until(Func<Task<bool>> so)
    {
        using var deadline = new CancellationTokenSource(Patience);
        while (!await so()) { await Task.Delay(5, deadline.Token); }
    }

    [Fact]
    public async Task runs_a_command_and_everything_that_follows_from_it()
    {
        await using var bus = Bus();
        await bus.Start(TestContext.Current.CancellationToken);
        var answer = await Ask(bus, new OpenCounter(id, 5));
        Assert.Equal((id.Value, 1), (answer.StreamId, answer.Version));
        await Until(async () => (await Counter())?.Total == 5);
        await Until(() => Task.FromResult(bus.InMemory == 0));
        Assert.Empty(store.Pending);
    }

    [Fact]
    public async Task answers_a_repeated_command_from_the_record_and_refuses_another_one_under_its_id()
    {
        await using var bus = Bus();
        var first = await Ask(bus, new OpenCounter(id, 0), "a");
        var again = await Ask(bus, new OpenCounter(id, 0), "a");
        Assert.True(again.Repeated);
        Assert.Equal((first.StreamId, first.Version), (again.StreamId, again.Version));
        Assert.Equal(1, (await bus.Find(TenantId.Default, "a", TestContext.Current.CancellationToken))!.Version);
        Assert.Null(await bus.Find(TenantId.Default, "b", TestContext.Current.CancellationToken));
        var refused = await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new OpenCounter(id, 1), "a"));
        Assert.Equal(("command.conflict", 409), (refused.Problem.Code, refused.Problem.Status));
    }

    [Fact]
    public async Task refuses_what_Validate_refuses_and_a_stream_that_is_not_there()
    {
        await using var bus = Bus();
        Assert.Equal("counter.not-found", (await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new AddOne(id)))).Problem.Code);
        await Ask(bus, new OpenCounter(id, 0));
        for (var i = 0; i < 3; i++) { await Ask(bus, new AddOne(id)); }
        Assert.Equal("counter.full", (await Assert.ThrowsAsync<ProblemException>(() => Ask(bus, new AddOne(id)))).Problem.Code);
    }

    [Fact]
    public async Task tries_again_and_then_buries()
    {
        var attempts = 0;
        roll = (_, _) => { attempts++; throw new TimeoutException("no dice"); };
        await using var bus = Bus();
        await bus.Start(TestContext.Current.CancellationToken);
        await Ask(bus, new OpenCounter(id, 1));
        await Until(async () => (await store.DeadLetters(null, 10, TestContext.Current.CancellationToken)).Count == 1);
        Assert.Equal(3, attempts);
        var dead = Assert.Single(await store.DeadLetters(TenantId.Default, 10, TestContext.Current.CancellationToken));
        Assert.Equal("TimeoutException", dead.ErrorType);

        roll = static (_, _) => Task.FromResult(7);
        Assert.True(await store.Requeue(TenantId.Default, dead.Envelope.Id, TestContext.Current.CancellationToken));
        await Until(async () => (await Counter())?.Total == 7);
    }

    [Theory]
    [InlineData(CommitFault.CrashBefore)]
    [InlineData(CommitFault.CrashAfter)]
    [InlineData(CommitFault.AwayBefore)]
    [InlineData(CommitFault.AwayAfter)]
    public async Task finishes_exactly_once_whatever_happens_at_any_one_commit(CommitFault fault)
    {
        for (var at = 2; at <= 4; at++)
        {
            var commits = 0;
            var stream = new CounterId(Guid.NewGuid());
            store.Fault = () => Interlocked.Increment(ref commits) == at ? fault : CommitFault.None;
            await using var bus = Bus();
            await bus.Start(TestContext.Current.CancellationToken);
            await Ask(bus, new OpenCounter(stream, 3));
            await Until(() => Task.FromResult(store.Pending.Count == 0));
            var counter = (await store.Load(TenantId.Default, stream.Value, Folds.Counter, TestContext.Current.CancellationToken)).State;
            Assert.Equal(3, counter!.Total);
        }
    }

    [Fact]
    public async Task takes_over_what_a_dead_node_left()
    {
        var dead = await store.Join("dead", TestContext.Current.CancellationToken);
        var step = new Step(id, 1);
        await using var bus = Bus();
        await Ask(bus, new OpenCounter(id, 1));
        Assert.Single(await store.Claim(dead.Owner, 10, TestContext.Current.CancellationToken));
        await bus.Start(TestContext.Current.CancellationToken);
        Assert.Equal(0, (await Counter())!.Total);
        store.Kill(dead.Owner);
        await Until(async () => (await Counter())!.Total == step.Left);
    }

    [Fact]
    public async Task executes_one_message_and_names_the_next_for_hosts_without_background_work()
    {
        await using var bus = Bus();
        var next = (await Ask(bus, new OpenCounter(id, 2))).Messages;
        next = await bus.ExecuteOne(TenantId.Default, Assert.Single(next), TestContext.Current.CancellationToken);
        next = await bus.ExecuteOne(TenantId.Default, Assert.Single(next!), TestContext.Current.CancellationToken);
        Assert.Empty(next!);
        Assert.Equal(2, (await Counter())!.Total);
        Assert.Null(await bus.ExecuteOne(TenantId.Default, Guid.NewGuid(), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task buries_a_message_that_has_taken_its_process_with_it_twice_before_it_is_tried_again()
    {
        var attempts = 0;
        roll = (_, _) => { attempts++; throw new SimulatedCrashException(); };
        await using var bus = Bus();
        var message = Assert.Single((await Ask(bus, new OpenCounter(id, 1))).Messages);
        for (var i = 0; i < Platform.Messaging.Bus.MaxCrashes; i++) { await Assert.ThrowsAsync<SimulatedCrashException>(() => bus.ExecuteOne(TenantId.Default, message, TestContext.Current.CancellationToken)); }
        Assert.Empty((await bus.ExecuteOne(TenantId.Default, message, TestContext.Current.CancellationToken))!);
        Assert.Equal(2, attempts);
        Assert.Equal("ProcessDied", Assert.Single(await store.DeadLetters(null, 10, TestContext.Current.CancellationToken)).ErrorType);
        Assert.Null(await bus.ExecuteOne(TenantId.Default, message, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task does_not_take_a_message_that_runs_out_of_time_for_one_that_kills_its_process()
    {
        CancellationTokenSource deadline = null!;
        roll = async (_, cancellation) => { await deadline.CancelAsync(); await Task.Delay(Timeout.Infinite, cancellation); return 1; };
        await using var bus = Bus();
        var message = Assert.Single((await Ask(bus, new OpenCounter(id, 1))).Messages);
        for (var i = 0; i < 3; i++)
        {
            using (deadline = new CancellationTokenSource()) { await Assert.ThrowsAnyAsync<OperationCanceledException>(() => bus.ExecuteOne(TenantId.Default, message, deadline.Token)); }
        }

        // As often as its type may be tried, and no oftener.
        using (deadline = new CancellationTokenSource()) { Assert.Empty((await bus.ExecuteOne(TenantId.Default, message, deadline.Token))!); }
        Assert.Equal("TooManyAttempts", Assert.Single(await store.DeadLetters(null, 10, TestContext.Current.CancellationToken)).ErrorType);
    }

    [Fact]
    public async Task leaves_what_does_not_end_in_time_for_others_when_it_drains()
    {
        var begun = new TaskCompletionSource();
        roll = async (_, cancellation) => { begun.TrySetResult(); await Task.Delay(Timeout.Infinite, cancellation); return 1; };
        await using var bus = Bus();
        await bus.Start(TestContext.Current.CancellationToken);
        await Ask(bus, new OpenCounter(id, 1));
        await begun.Task;
        await bus.Drain(TimeSpan.FromMilliseconds(1));
        Assert.Single(store.Pending);
        var other = await store.Join("other", TestContext.Current.CancellationToken);
        Assert.Single(await store.Claim(other.Owner, 10, TestContext.Current.CancellationToken));
    }
}
