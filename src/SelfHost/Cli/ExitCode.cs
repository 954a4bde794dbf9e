namespace Platform.SelfHost.Cli;

/// <summary>What the process answers to its caller; documented in docs/cli.md.</summary>
internal static class ExitCode
{
    public const int Done = 0;

    /// <summary>It ran, and what it ran failed: a failed run, a check with errors, a refused undo, a broken audit trail.</summary>
    public const int Failed = 1;

    /// <summary>The caller must correct something: the command line, a file, an input, an id.</summary>
    public const int Usage = 2;

    /// <summary>The store cannot be had right now: try again (sysexits.h EX_TEMPFAIL).</summary>
    public const int Unavailable = 75;

    /// <summary>Our own fault (sysexits.h EX_SOFTWARE).</summary>
    public const int Internal = 70;

    /// <summary>Ended by Ctrl-C (128 + SIGINT).</summary>
    public const int Interrupted = 130;
}
