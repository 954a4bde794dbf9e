using System.Text;
using System.Text.Json;

namespace Platform.Messaging;

/// <summary>What became of one attempt at a durable message.</summary>
internal enum Attempt
{
    /// <summary>Its row is gone.</summary>
    Handled,

    /// <summary>To be tried again, its row still owned.</summary>
    Retry,

    /// <summary>A dead letter now.</summary>
    Buried,

    /// <summary>Somebody else has it, or has handled it.</summary>
    Lost,

    /// <summary>The store went away: whether it committed is not known.</summary>
    Unknown,
}

/// <summary>Everything that runs one message, without queues, threads or ownership: shared by the bus, one-shot hosts and the simulator.</summary>
internal sealed class Pipeline
{
    private readonly Dictionary<string, MessageType> byAlias = new(StringComparer.Ordinal);
    private readonly Dictionary<Type, MessageType> byType = [];

    public Pipeline(HandlerTable table, IEventStreams streams, IMessageStore store, IServiceProvider services, TimeProvider time, Func<double> jitter, IReadOnlyList<TransportEndpoint>? transports = null)
    {
        foreach (var type in table.Messages)
        {
            byAlias.Add(type.Alias, type);
            byType.Add(type.ClrType, type);
        }

        Streams = streams;
        Store = store;
        Services = services;
        Time = time;
        Jitter = jitter;
        Routes = new Routes(transports ?? [], byAlias.ContainsKey);
    }

    public IEventStreams Streams { get; }

    public IMessageStore Store { get; }

    public IServiceProvider Services { get; }

    public TimeProvider Time { get; }

    public Func<double> Jitter { get; }

    public Interrupts Interrupts { get; } = new();

    public Routes Routes { get; }

    public IEnumerable<MessageType> Types => byType.Values;

    public MessageType Of(object message) => byType.TryGetValue(message.GetType(), out var type)
        ? type
        : throw new InvalidOperationException($"{message.GetType()} has no handler: it is not a message.");

    /// <summary>Null: it has no handler.</summary>
    public MessageType? TryOf(object message) => byType.GetValueOrDefault(message.GetType());

    public MessageType? Find(string alias) => byAlias.GetValueOrDefault(alias);

    public static Envelope Seal(MessageType type, Guid id, TenantId tenant, object message, EventMetadata metadata, DateTimeOffset? dueAt = null, TimeSpan? delay = null) =>
        new(id, tenant, type.Alias, type.Key(message), JsonSerializer.SerializeToUtf8Bytes(message, type.Json), metadata, dueAt, delay);

    /// <summary>Runs a command from outside, or a message that has no row.</summary>
    public Task<Executed> Run(Envelope envelope, object command, long? owner, HandledMessage? handled, PendingAnswer? answer, CancellationToken cancellation) =>
        Of(command).Handler.Run(new Execution(this, envelope, command, owner, handled, answer), cancellation);

    /// <summary>Makes one attempt at a durable message, and writes down what it came to.</summary>
    /// <param name="counts">
    /// Count the attempt before it begins. Not needed for the first one of a message that this node has enqueued itself: should it kill the
    /// process, whoever takes it over counts.
    /// </param>
    /// <exception cref="StoreUnavailableException">It was not begun, or what it came to could not be written down.</exception>
    /// <exception cref="OwnershipLostException">As <see cref="Attempt.Lost"/>.</exception>
    public async Task<(Attempt Attempt, Executed? Executed, Envelope Envelope, TimeSpan Wait)> Try(Envelope envelope, long owner, long? cascadesTo, bool counts, CancellationToken cancellation)
    {
        var type = Find(envelope.Type);
        if (type is null) { return await Bury(envelope, owner, "UnknownMessage", $"No handler for '{envelope.Type}' in this version."); }

        var transport = Routes.Of(envelope);
        var retry = transport is null ? type.Retry : Routes.Retry;
        var begun = envelope.Attempts + 1;
        if (counts)
        {
            begun = Math.Max(begun, await Store.Begin(owner, envelope.Tenant, envelope.Id, cancellation));
            if (begun > retry.Attempts) { return await Bury(envelope, owner, "TooManyAttempts", $"Begun {begun - 1} times and never finished."); }
        }

        envelope = envelope with { Attempts = begun };
        var started = Time.GetTimestamp();
        using var activity = Telemetry.Source.StartActivity(type.Alias);
        Telemetry.InFlight.Add(1);
        try
        {
            if (transport is not null)
            {
                await transport.Send(envelope with { DueAt = null, Delay = null, Attempts = 0 }, cancellation);
                await Streams.Append(new Commit { Tenant = envelope.Tenant, Timestamp = Time.GetUtcNow(), Handled = new HandledMessage(envelope.Tenant, envelope.Id, owner) }, CancellationToken.None);
                Telemetry.Handled.Add(1, new KeyValuePair<string, object?>("type", type.Alias));
                return (Attempt.Handled, Executed.Nothing, envelope, default);
            }

            var command = JsonSerializer.Deserialize(envelope.Body.Span, type.Json) ?? throw new JsonException("The message is null.");
            var executed = await Run(envelope, command, cascadesTo, new HandledMessage(envelope.Tenant, envelope.Id, owner), null, cancellation);
            Telemetry.Handled.Add(1, new KeyValuePair<string, object?>("type", type.Alias));
            return (Attempt.Handled, executed, envelope, default);
        }
        catch (StoreUnavailableException)
        {
            // Not the message's fault: the attempt is not counted against it.
            return (Attempt.Unknown, null, envelope with { Attempts = begun - 1 }, default);
        }
        catch (OwnershipLostException)
        {
            return (Attempt.Lost, null, envelope, default);
        }
        catch (ProblemException refused)
        {
            return await Bury(envelope, owner, refused.Problem.Code, refused.Problem.Detail);
        }
        catch (JsonException unreadable)
        {
            return await Bury(envelope, owner, nameof(JsonException), unreadable.Message);
        }
        // The pipeline's edge: whatever a handler throws decides only over its own message. A fault of the store and a stop are not the message's.
        catch (Exception failure) when (failure is not SimulatedCrashException && !cancellation.IsCancellationRequested)
        {
            Telemetry.Failed.Add(1, new KeyValuePair<string, object?>("type", type.Alias));
            if (begun >= retry.Attempts) { return await Bury(envelope, owner, failure.GetType().Name, failure.ToString()); }
            var wait = retry.Wait(begun, Jitter());
            await Store.Retry(owner, envelope.Tenant, envelope.Id, Time.GetUtcNow() + wait, Shorten(failure.Message), CancellationToken.None);
            Telemetry.Retried.Add(1, new KeyValuePair<string, object?>("type", type.Alias));
            return (Attempt.Retry, null, envelope, wait);
        }
        finally
        {
            Telemetry.InFlight.Add(-1);
            Telemetry.Duration.Record(Time.GetElapsedTime(started).TotalMilliseconds, new KeyValuePair<string, object?>("type", type.Alias));
        }
    }

    /// <summary>An error is kept to be read by a person; a stack of a runaway recursion is not.</summary>
    public const int MaxErrorLength = 8_000;

    private static string Shorten(string error)
    {
        var clean = error.Contains('\0') ? new StringBuilder(error).Replace('\0', ' ').ToString() : error;
        return clean.Length <= MaxErrorLength ? clean : clean[..MaxErrorLength];
    }

    public async Task<(Attempt, Executed?, Envelope, TimeSpan)> Bury(Envelope envelope, long owner, string errorType, string error)
    {
        await Store.Bury(owner, envelope.Tenant, envelope.Id, errorType, Shorten(error), Time.GetUtcNow(), CancellationToken.None);
        Telemetry.Dead.Add(1, new KeyValuePair<string, object?>("type", envelope.Type));
        return (Attempt.Buried, null, envelope, default);
    }
}
