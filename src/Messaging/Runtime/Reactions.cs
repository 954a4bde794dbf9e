using System.Text.Json;

namespace Platform.Messaging;

/// <summary>Runs our handlers of events for a subscription.</summary>
internal static class Reactions
{
    /// <summary>The id of the message that an event is to its handler is the event's own, so that what follows has the same ids however often the event comes.</summary>
    public static async Task<IReadOnlyList<Envelope>> To(IReadOnlyList<RecordedEvent> events, Pipeline pipeline, CancellationToken cancellation)
    {
        var said = new List<Envelope>();
        foreach (var recorded in events)
        {
            if (pipeline.TryOf(recorded.Data) is not { } type) { continue; }
            var envelope = new Envelope(recorded.Id, recorded.Tenant, type.Alias, null, JsonSerializer.SerializeToUtf8Bytes(recorded.Data, type.Json), recorded.Metadata, Attempts: 1);
            await type.Handler.Run(new Execution(pipeline, envelope, recorded.Data, null, null, null, new Collected(pipeline.Streams, said)), cancellation);
        }

        return said;
    }

    /// <summary>A policy's messages are collected, to be enqueued with the subscription's position. What is decided on a stream commits by itself.</summary>
    private sealed class Collected(IEventStreams streams, List<Envelope> said) : IEventStreams
    {
        public ValueTask<Loaded<TState>> Load<TState>(TenantId tenant, Guid streamId, StateFold<TState> fold, CancellationToken cancellation) where TState : class =>
            streams.Load(tenant, streamId, fold, cancellation);

        public Task<Decided<TState>> Decide<TState>(DecideRequest<TState> request, CancellationToken cancellation) where TState : class => streams.Decide(request, cancellation);

        public Task<InboxEntry?> Append(Commit commit, CancellationToken cancellation)
        {
            said.AddRange(commit.Messages);
            return Task.FromResult<InboxEntry?>(null);
        }

        public IAsyncEnumerable<RecordedEvent> Fetch(TenantId tenant, Guid streamId, long fromVersion = 1, long? toVersion = null, DateTimeOffset? until = null, CancellationToken cancellation = default) =>
            streams.Fetch(tenant, streamId, fromVersion, toVersion, until, cancellation);

        public IAsyncEnumerable<RecordedEvent> FetchAll(TenantId? tenant, long afterPosition, int limit, CancellationToken cancellation = default) =>
            streams.FetchAll(tenant, afterPosition, limit, cancellation);
    }
}
