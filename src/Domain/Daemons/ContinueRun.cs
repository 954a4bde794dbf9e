using Platform.Messaging;

namespace Platform.Domain.Daemons;

/// <summary>Goes on where a decision grew too large for one transaction, or where an operator wants a run looked at again.</summary>
public sealed record ContinueRun(RunId RunId);

public static class ContinueRunHandler
{
    public static (Events, OutgoingMessages) Handle(ContinueRun command, Run run, DateTimeOffset now) =>
        run.Ended is null ? Interpreter.Advance(run, DaemonDefinitions.Of(run), now) : ([], []);
}
