using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Stops a run: what is under way is given up, but for effects that have begun; then its <c>finally</c> stages run. Asked again, those stop too.</summary>
public sealed record CancelRun(RunId RunId, string RequestedBy, string Reason);

public sealed record RunCancelRequested(string RequestedBy, string Reason, DateTimeOffset At) : IRunEvent;

public static class CancelRunHandler
{
    public static Problem? Validate(CancelRun command, Run? run) =>
        run is null ? new Problem("run.not-found", $"There is no run {command.RunId}.", 404) : null;

    public static (Events, OutgoingMessages) Handle(CancelRun command, Run run, DateTimeOffset now) =>
        run.Ended is not null || run.StopsClosing
            ? ([], [])
            : Interpreter.Stop(run, DaemonDefinitions.Of(run), new RunCancelRequested(command.RequestedBy, CanonicalJson.Clean(command.Reason), now), now);
}
