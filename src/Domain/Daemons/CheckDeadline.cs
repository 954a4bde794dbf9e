using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>A run's time is over. Scheduled when it begins, and when it closes.</summary>
/// <param name="Closing">Of its <c>on_error</c> and <c>finally</c> stages, not of its own.</param>
public sealed record CheckDeadline(RunId RunId, bool Closing);

public sealed record RunTimedOut(TimeSpan Limit, DateTimeOffset At) : IRunEvent;

public static class CheckDeadlineHandler
{
    public static (Events, OutgoingMessages) Handle(CheckDeadline command, Run run, DateTimeOffset now)
    {
        // The clock of a part that is already over, or already stopping, has nothing to say.
        var isOver = run.Ended is not null || (command.Closing ? run.Decided is null || run.StopsClosing : run.Decided is not null);
        return isOver
            ? ([], [])
            : Interpreter.Stop(run, DaemonDefinitions.Of(run), new RunTimedOut(command.Closing ? Interpreter.ClosingLimit : run.Started.Budget.Wall ?? TimeSpan.Zero, now), now);
    }
}
