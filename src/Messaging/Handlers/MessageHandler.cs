namespace Platform.Messaging;

/// <summary>The compiled form of a static handler class; made by generated code.</summary>
public abstract class MessageHandler
{
    private protected MessageHandler() { }

    internal abstract Task<Executed> Run(Execution execution, CancellationToken cancellation);

    private protected static Task<object?> NothingLoaded { get; } = Task.FromResult<object?>(null);
}

/// <summary>A handler of commands on a stream: fold, Validate, LoadAsync, then Handle in the stream's lane.</summary>
/// <param name="StreamId">Of the command.</param>
/// <param name="Required">The state's parameter is not nullable: a stream that does not exist is refused.</param>
/// <param name="Validate">Null: nothing is refused.</param>
/// <param name="Load">Null: nothing is asked of the world.</param>
public sealed class StreamHandler<TCommand, TState>(
    StateFold<TState> Fold,
    Func<TCommand, Guid> StreamId,
    bool Required,
    Func<TCommand, TState?, MessageContext, IServiceProvider, Problem?>? Validate,
    Func<TCommand, TState?, MessageContext, IServiceProvider, CancellationToken, Task<object?>>? Load,
    Func<TCommand, TState?, object?, MessageContext, Outcome> Handle) : MessageHandler
    where TCommand : notnull
    where TState : class
{
    internal override async Task<Executed> Run(Execution execution, CancellationToken cancellation)
    {
        var command = (TCommand)execution.Command;
        var streamId = StreamId(command);
        var loaded = Load is null ? null : await Ask(command, streamId, execution, cancellation);

        // From here on the outcome is waited for: a caller that turned away in the middle of a commit would not know which messages are its own.
        cancellation.ThrowIfCancellationRequested();
        var context = new MessageContext(execution.Envelope, execution.Now());
        IReadOnlyList<Guid> interrupted = [];
        var decided = await execution.Streams.Decide(
            new DecideRequest<TState>(
                execution.Envelope.Tenant,
                streamId,
                Fold,
                (state, version) =>
                {
                    if (Load is null) { Refuse(command, state, context, execution); }
                    var outcome = state is null && Required ? throw NotFound(streamId) : Handle(command, state, loaded, context);
                    interrupted = outcome.Messages?.Interrupted ?? [];
                    execution.Answer?.Set(streamId, version + (outcome.Events?.Count ?? 0));
                    return new Decision(outcome.Events ?? (IReadOnlyList<object>)[], execution.Cascade(outcome.Messages, context.Now));
                },
                context.Now,
                execution.Caused,
                execution.Handled,
                execution.Answer?.Entry,
                execution.Owner),
            CancellationToken.None);
        return decided.Recorded is { } recorded
            ? new Executed(streamId, decided.Version, [], [], recorded)
            : new Executed(streamId, decided.Version, decided.Decision.Messages, interrupted, null);
    }

    /// <summary>Asks the world; begins again with the newer state when another decision on the stream interrupts it.</summary>
    private async Task<object?> Ask(TCommand command, Guid streamId, Execution execution, CancellationToken cancellation)
    {
        while (true)
        {
            // Before the fold: an interruption that the fold does not show yet must not be missed.
            using var call = execution.Interrupts.Enter(execution.Envelope.Tenant, streamId, cancellation);
            var before = await execution.Streams.Load(execution.Envelope.Tenant, streamId, Fold, cancellation);
            var context = new MessageContext(execution.Envelope, execution.Now());
            Refuse(command, before.State, context, execution);
            try
            {
                return await Load!(command, before.State, context, execution.Services, call.Token);
            }
            catch (OperationCanceledException) when (call.Interrupted && !cancellation.IsCancellationRequested)
            {
            }
        }
    }

    private void Refuse(TCommand command, TState? state, MessageContext context, Execution execution)
    {
        if (state is null && Required) { throw NotFound(StreamId(command)); }
        if (Validate?.Invoke(command, state, context, execution.Services) is { } problem) { throw new ProblemException(problem); }
    }

    private ProblemException NotFound(Guid streamId) =>
        new(new Problem($"{Fold.StreamType}.not-found", $"There is no {Fold.StreamType} {streamId}.", 404));
}

/// <summary>A policy: a handler without a state, that answers with messages only.</summary>
public sealed class PolicyHandler<TCommand>(
    Func<TCommand, MessageContext, IServiceProvider, Problem?>? Validate,
    Func<TCommand, MessageContext, IServiceProvider, CancellationToken, Task<object?>>? Load,
    Func<TCommand, object?, MessageContext, Outcome> Handle) : MessageHandler
    where TCommand : notnull
{
    internal override async Task<Executed> Run(Execution execution, CancellationToken cancellation)
    {
        var command = (TCommand)execution.Command;
        var asked = new MessageContext(execution.Envelope, execution.Now());
        if (Validate?.Invoke(command, asked, execution.Services) is { } problem) { throw new ProblemException(problem); }
        var loaded = Load is null ? null : await Load(command, asked, execution.Services, cancellation);

        cancellation.ThrowIfCancellationRequested();
        var context = asked with { Now = execution.Now() };
        var outcome = Handle(command, loaded, context);
        execution.Answer?.Set(Guid.Empty, 0);
        var messages = execution.Cascade(outcome.Messages, context.Now);
        var recorded = await execution.Streams.Append(
            new Commit
            {
                Tenant = execution.Envelope.Tenant,
                Timestamp = context.Now,
                Metadata = execution.Caused,
                Messages = messages,
                Handled = execution.Handled,
                Inbox = execution.Answer?.Entry,
                Owner = execution.Owner,
            },
            CancellationToken.None);
        return recorded is null
            ? new Executed(Guid.Empty, 0, messages, outcome.Messages?.Interrupted ?? [], null)
            : new Executed(Guid.Empty, 0, [], [], recorded);
    }
}
