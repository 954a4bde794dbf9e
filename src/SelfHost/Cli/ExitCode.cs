namespace Platform.SelfHost.Cli;

/// <summary>What the process answers to its caller; documented in docs/cli.md.</summary>
internal static class ExitCode
{
    public const int Done = 0;

    /// <summary>It ran, and what it ran failed: a failed run, a check with errors, an undo that was refused or declined, a broken audit trail.</summary>
    public const int Failed = 1;

    /// <summary>The caller must correct something: the command line, a file, an input, an id.</summary>
    public const int Usage = 2;

    /// <summary>Our own fault (sysexits.h EX_SOFTWARE).</summary>
    public const int Internal = 70;

    /// <summary>The store cannot be had right now: try again (sysexits.h EX_TEMPFAIL).</summary>
    public const int Unavailable = 75;

    /// <summary>Ended by Ctrl-C (128 + SIGINT).</summary>
    public const int Interrupted = 130;

    public static readonly IReadOnlyList<(int Code, string Meaning)> Meanings =
    [
        (Done, "it is done"),
        (Failed, "it ran, and what it ran failed: a failed run, a check with errors, an undo refused in part or declined, a broken log"),
        (Usage, "the caller must correct something: the command line, a file, an input, an id"),
        (Internal, "a fault of platform itself"),
        (Unavailable, "the database cannot be had right now: try again"),
        (Interrupted, "ended by Ctrl-C, or the run was cancelled"),
    ];
}
