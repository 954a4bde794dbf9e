using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>The wait after a failed attempt is over. Scheduled.</summary>
public sealed record RetryStage(RunId RunId, string Path, int FailedAttempt);

public static class RetryStageHandler
{
    public static (Events, OutgoingMessages) Handle(RetryStage command, Run run, DateTimeOffset now) =>
        Interpreter.Retry(run, DaemonDefinitions.Of(run), command.Path, command.FailedAttempt, now);
}
