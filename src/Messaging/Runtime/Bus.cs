using System.Security.Cryptography;
using System.Text;

namespace Platform.Messaging;

public sealed record BusOptions
{
    public string NodeName { get; init; } = "node";

    /// <summary>Messages kept in memory; beyond it they stay in their table, and are claimed when there is room.</summary>
    public int MaxInMemory { get; init; } = 20_000;

    /// <summary>How long to wait for a word of other nodes' work before looking anyway.</summary>
    public TimeSpan LookEvery { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Taken from the table at a time, so that several nodes share what waits.</summary>
    public int ClaimAtOnce { get; init; } = 200;

    public IReadOnlyList<TransportEndpoint> Transports { get; init; } = [];

    /// <summary>Between attempts to ask the store again after it was away.</summary>
    public TimeSpan RejoinEvery { get; init; } = TimeSpan.FromMilliseconds(500);
}

/// <summary>Who asks for a command, and under which id.</summary>
/// <param name="CommandId">1 to 255 characters; the same id with the same command is answered from the record. Null: never repeated.</param>
public sealed record InvokeOptions(TenantId Tenant, string? CommandId = null, string? User = null, string? CorrelationId = null, IReadOnlyDictionary<string, string>? Headers = null);

/// <summary>Runs commands from outside and the durable messages that follow from them.</summary>
/// <param name="ids">New ids, version 7.</param>
public sealed class Bus(
    HandlerTable table,
    IEventStreams streams,
    IMessageStore store,
    IServiceProvider services,
    TimeProvider time,
    Func<Guid> ids,
    BusOptions? options = null) : IAsyncDisposable
{
    private readonly BusOptions options = options ?? new BusOptions();
    private readonly Pipeline pipeline = new(table, streams, store, services, time, static () => RandomNumberGenerator.GetInt32(1_000) / 1_000.0, options?.Transports);
    private readonly CancellationTokenSource stopping = new();
    private readonly CancellationTokenSource hurry = new();
    private volatile Node? node;
    private Task? membership;
    private Task receiving = Task.CompletedTask;
    private IDisposable? interruptions;
    private TimeSpan patience;
    private bool disposed;

    /// <summary>Messages in this node's memory: waiting, delayed and being handled.</summary>
    public int InMemory => node?.Count ?? 0;

    /// <summary>Whether this node works on messages now: it has started, and the store has not been away since it last joined.</summary>
    public bool Joined => node is not null;

    /// <summary>Joins and begins to handle messages. Without it, commands run but their messages wait in the table: for one-shot hosts.</summary>
    public async Task Start(CancellationToken cancellation)
    {
        var joined = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        interruptions = store.OnInterrupt(pipeline.Interrupts.Interrupt);
        membership = Task.Run(() => Belong(joined), CancellationToken.None);
        await joined.Task.WaitAsync(cancellation);
        receiving = Task.WhenAll(options.Transports.Where(t => t.Receives).Select(t => Task.Run(() => Receive(t), CancellationToken.None)));
    }

    /// <summary>Takes no new work, lets what is being handled end until the deadline, gives back what is left, and leaves.</summary>
    public async Task Drain(TimeSpan deadline)
    {
        patience = deadline;
        await stopping.CancelAsync();
        if (membership is not null) { await membership; }

        // What is being written down for a transport is acknowledged or comes again.
        await receiving.WaitAsync(Node.Grace).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        interruptions?.Dispose();
    }

    /// <summary>Ends the wait of a drain: what is still being handled is told to stop and given back.</summary>
    public void Hurry() => hurry.Cancel();

    /// <summary>Runs a command and answers when its outcome is durable.</summary>
    /// <exception cref="ProblemException">It is refused.</exception>
    /// <exception cref="StoreUnavailableException">Ask again with the same command id, or <see cref="Find"/> what became of it.</exception>
    public Task<CommandAnswer> Invoke(object command, InvokeOptions options, CancellationToken cancellation)
    {
        // A caller that turns away in the middle of a commit does not stop what follows from it.
        var answer = Ask(command, options, cancellation);
        return answer.IsCompleted || !cancellation.CanBeCanceled ? answer : answer.WaitAsync(cancellation);
    }

    /// <summary>What became of a command: null when it never committed.</summary>
    public async Task<CommandAnswer?> Find(TenantId tenant, string commandId, CancellationToken cancellation) =>
        await store.FindCommand(tenant, commandId, cancellation) is { } entry ? CommandAnswer.Read(entry) with { Repeated = true } : null;

    /// <summary>A message that has taken its process with it this often is not tried again by <see cref="ExecuteOne"/>: there every crash takes other work with it.</summary>
    public const int MaxCrashes = 2;

    /// <summary>
    /// For hosts without background work: makes one attempt at one message and answers which messages follow. Null: nobody's to run now. While it runs, it hears
    /// what other processes interrupt. Cancelled, it gives the message back.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The message is not handled, or it is not known whether it is: ask again.</exception>
    public async Task<IReadOnlyList<Guid>?> ExecuteOne(TenantId tenant, Guid id, CancellationToken cancellation)
    {
        await using var once = await store.Join(options.NodeName, cancellation);
        if (await store.ClaimOne(once.Owner, tenant, id, cancellation) is not { } envelope) { return null; }
        if (envelope.DueAt > time.GetUtcNow())
        {
            // Somebody was told of it before its time: whoever looks for what is due finds it then.
            await store.Release(once.Owner, [id], cancellation);
            return null;
        }

        if (envelope.Crashes >= MaxCrashes)
        {
            await pipeline.Bury(envelope, once.Owner, "ProcessDied", $"The process died {envelope.Crashes} times in a row while it handled this.");
            return [];
        }

        using var hearing = store.OnInterrupt(pipeline.Interrupts.Interrupt);
        using var lost = CancellationTokenSource.CreateLinkedTokenSource(cancellation, once.Lost);
        Attempt attempt;
        Executed? executed;
        try
        {
            (attempt, executed, _, _) = await pipeline.Try(envelope, once.Owner, null, counts: true, lost.Token);
        }
        catch (OperationCanceledException)
        {
            await GiveBack(once.Owner, id);
            cancellation.ThrowIfCancellationRequested();
            throw new StoreUnavailableException("The connection that owned the message went away.");
        }

        if (attempt == Attempt.Unknown) { await GiveBack(once.Owner, id); }
        foreach (var stream in executed?.Interrupted ?? []) { await Interrupt(tenant, stream, CancellationToken.None); }
        return attempt switch
        {
            Attempt.Handled => [.. executed!.Messages.Select(m => m.Id)],
            Attempt.Retry => [id],
            Attempt.Buried => [],
            Attempt.Lost => null,
            Attempt.Unknown => throw new StoreUnavailableException("The store went away: whether the message is handled is not known."),
        };
    }

    /// <summary>So that an attempt that was ended does not look like one that died with its process.</summary>
    private async Task GiveBack(long owner, Guid id)
    {
        try { await store.Release(owner, [id], CancellationToken.None); }
        catch (StoreUnavailableException)
        {
            // Then it counts as one: a message that sees the store go away twice in a row is buried for a person to requeue.
        }
    }

    /// <summary>For hosts without background work: durable messages that nobody living has and that are due, oldest first, to be sent on to <see cref="ExecuteOne"/>.</summary>
    public Task<IReadOnlyList<MessageRef>> RecoverDue(int limit, CancellationToken cancellation) => store.Due(time.GetUtcNow(), limit, cancellation);

    /// <summary>
    /// Runs our handlers of these events and answers which messages follow: the reaction of a <see cref="Subscription"/>, which enqueues them with its position. An event without a handler is passed over.
    /// A handler that decides on a stream commits that by itself, and is asked again after a crash: asked twice, it answers with nothing, as every handler.
    /// </summary>
    public Task<IReadOnlyList<Envelope>> React(IReadOnlyList<RecordedEvent> events, CancellationToken cancellation) => Reactions.To(events, pipeline, cancellation);

    /// <summary>Ends calls to the world in flight for a stream, on this node and on the others: they begin again with the stream's newest state.</summary>
    public async Task Interrupt(TenantId tenant, Guid streamId, CancellationToken cancellation)
    {
        pipeline.Interrupts.Interrupt(tenant, streamId);
        try { await store.Interrupt(tenant, streamId, cancellation); }
        catch (StoreUnavailableException)
        {
            // A hint. Whoever did not hear it decides on the newest state all the same.
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (disposed) { return; }
        disposed = true;
        await Drain(TimeSpan.Zero);
        node?.Dispose();
        stopping.Dispose();
        hurry.Dispose();
    }

    private static byte[] Hash(string alias, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(alias));
        hash.AppendData([0]);
        hash.AppendData(body);
        return hash.GetHashAndReset();
    }

    private async Task<CommandAnswer> Ask(object command, InvokeOptions options, CancellationToken cancellation)
    {
        var type = pipeline.Of(command);
        var id = ids();
        var envelope = Pipeline.Seal(
            type, id, options.Tenant, command, new EventMetadata(options.CorrelationId ?? id.ToString(), null, options.User, options.Headers)) with
        { Attempts = 1 };
        var answer = options.CommandId is { } commandId ? new PendingAnswer(commandId, Hash(type.Alias, envelope.Body.Span)) : null;
        var owning = node is { HasRoom: true } current ? current : null;
        try
        {
            var executed = await pipeline.Run(envelope, command, owning?.Owner, null, answer, cancellation);
            if (executed.Recorded is { } recorded) { return CommandAnswer.Read(recorded) with { Repeated = true }; }
            await Follow(envelope.Tenant, executed, owning);
            return new CommandAnswer(executed.StreamId, executed.Version) { Messages = [.. executed.Messages.Select(m => m.Id)] };
        }
        catch (ProblemException) when (answer is not null)
        {
            // Asked again, it may be refused because it was done: the record decides.
            if (await store.FindCommand(options.Tenant, answer.Entry.CommandId, cancellation) is not { } known) { throw; }
            return known.RequestHash.Span.SequenceEqual(answer.Entry.RequestHash.Span) ? CommandAnswer.Read(known) with { Repeated = true } : throw Conflict();
        }
        catch (CommandConflictException)
        {
            throw Conflict();
        }
        catch (StoreUnavailableException)
        {
            owning?.Doubt(null);
            throw;
        }
    }

    private static ProblemException Conflict() => new(new Problem("command.conflict", "This command id was used before with another command.", 409));

    private async Task Follow(TenantId tenant, Executed executed, Node? owning)
    {
        if (owning is not null)
        {
            foreach (var message in executed.Messages) { owning.Add(message, counts: false); }
        }

        foreach (var stream in executed.Interrupted) { await Interrupt(tenant, stream, CancellationToken.None); }
    }

    private async Task Receive(TransportEndpoint endpoint)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                // One after the other: the order in which they come is the order in which they are enqueued.
                await foreach (var delivery in endpoint.Transport.Receive(endpoint.Unacknowledged, stopping.Token)) { await Accept(delivery, endpoint.Transport); }
            }
            // A transport that fails is asked again; what it had handed over and is not acknowledged comes again.
            catch (Exception)
            {
                await Task.Delay(options.RejoinEvery, time, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Makes a message that came over a transport a row of ours, once for its id, and only then acknowledges it.</summary>
    private async Task Accept(IDelivery delivery, IMessageTransport from)
    {
        var sent = delivery.Envelope;
        var received = Routes.Received(sent, from);
        var owning = node is { HasRoom: true } current ? current : null;
        try
        {
            var known = await streams.Append(
                new Commit
                {
                    Tenant = sent.Tenant,
                    Timestamp = time.GetUtcNow(),
                    Messages = [received],
                    Inbox = new InboxEntry($"message:{sent.Id}", Hash(sent.Type, sent.Body.Span), "{}"u8.ToArray()),
                    Owner = owning?.Owner,
                },
                CancellationToken.None);
            if (known is null) { owning?.Add(received, counts: false); }
        }
        catch (StoreUnavailableException)
        {
            owning?.Doubt(null);
            await delivery.Nack(requeue: true, CancellationToken.None);
            throw;
        }
        catch (Exception refused) when (refused is CommandConflictException or LimitExceededException or ArgumentException)
        {
            // The id of another message, or more than a row takes: it would never be taken.
            await delivery.Nack(requeue: false, CancellationToken.None);
            return;
        }

        await delivery.Ack(CancellationToken.None);
    }

    /// <summary>Joins, claims, and joins again when the membership is lost, until told to stop.</summary>
    private async Task Belong(TaskCompletionSource joined)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await using var member = await store.Join(options.NodeName, stopping.Token);
                using var current = new Node(pipeline, options, member, Follow, stopping.Token);
                node = current;
                joined.TrySetResult();
                try { await Claim(current); }
                finally
                {
                    node = null;
                    await current.End(stopping.IsCancellationRequested ? patience : TimeSpan.Zero, hurry.Token);
                }
            }
            catch (OperationCanceledException)
            {
                // Lost or stopping: the loop's condition says which.
            }
            // A node does not end of a fault: what the store cannot do now it may do later. Only who waits for the first joining hears of it.
            catch (Exception fault)
            {
                if (fault is not StoreUnavailableException) { joined.TrySetException(fault); }
                await Task.Delay(options.RejoinEvery, time, stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        joined.TrySetCanceled();
    }

    private async Task Claim(Node current)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping.Token, current.Gone);
        while (true)
        {
            either.Token.ThrowIfCancellationRequested();
            try
            {
                var room = Math.Min(options.MaxInMemory - current.Count, options.ClaimAtOnce);
                if (room <= 0)
                {
                    await current.Room(either.Token);
                    continue;
                }

                foreach (var envelope in await store.Claim(current.Owner, room, either.Token)) { current.Add(envelope, counts: true); }
                await store.WaitForWork(options.LookEvery, either.Token);
            }
            catch (StoreUnavailableException)
            {
                await Task.Delay(options.RejoinEvery, time, either.Token);
            }
        }
    }
}
