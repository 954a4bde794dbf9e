using System.CommandLine;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary>What every command takes.</summary>
internal sealed class GlobalOptions
{
    public Option<string?> Data { get; } = new("--data") { Description = "The installation's data folder [PLATFORM_DATA].", HelpName = "FOLDER", Recursive = true };

    public Option<string?> Postgres { get; } = new("--postgres") { Description = "Use this PostgreSQL instead of the private one [PLATFORM_POSTGRES].", HelpName = "CONNECTION", Recursive = true };

    public Option<string> Tenant { get; } = new("--tenant") { Description = "Whose runs.", HelpName = "NAME", Recursive = true, DefaultValueFactory = _ => TenantId.Default.Value };

    public Option<bool> Json { get; } = new("--json") { Description = "Results as JSON, one value a line for lists; errors as JSON on standard error.", Recursive = true };

    public Option<bool> Verbose { get; } = new("--verbose", "-v") { Description = "Show each stage of a run, those of a list's items too.", Recursive = true };

    public Option<bool> Utc { get; } = new("--utc") { Description = "Times in UTC instead of this machine's zone; JSON has them in UTC anyway.", Recursive = true };

    public Option<bool> NoColour { get; } = new("--no-color") { Description = "No colours [NO_COLOR].", Recursive = true };

    public void AddTo(RootCommand root)
    {
        root.Options.Add(Data);
        root.Options.Add(Postgres);
        root.Options.Add(Tenant);
        root.Options.Add(Json);
        root.Options.Add(Verbose);
        root.Options.Add(Utc);
        root.Options.Add(NoColour);
    }

    public Settings Read(ParseResult parse)
    {
        var tenant = parse.GetValue(Tenant)!;
        return new Settings(
            Path.GetFullPath(parse.GetValue(Data) ?? Environment.GetEnvironmentVariable("PLATFORM_DATA") ?? DefaultDataFolder()),
            parse.GetValue(Postgres) ?? (Environment.GetEnvironmentVariable("PLATFORM_POSTGRES") is { Length: > 0 } given ? given : null),
            TenantId.TryParse(tenant, out var parsed) ? parsed : throw new ProblemException(new Problem("tenant.invalid", $"'{tenant}' is no tenant name: at most {TenantId.MaxLength} letters, digits, '-', '_', '.', '*'.")),
            TerminalOf(parse));
    }

    public Terminal TerminalOf(ParseResult parse) => Terminal.Create(parse.GetValue(Json), parse.GetValue(NoColour), parse.GetValue(Verbose), parse.GetValue(Utc));

    /// <summary>Where the XDG Base Directory Specification and the Filesystem Hierarchy Standard put an application's state.</summary>
    private static string DefaultDataFolder() =>
        Environment.IsPrivilegedProcess ? "/var/lib/platform"
        : Environment.GetEnvironmentVariable("XDG_DATA_HOME") is { Length: > 0 } data ? Path.Combine(data, "platform")
        : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, ".local", "share", "platform")
        : throw new ProblemException(new Problem("data.no-folder", "This user has no home folder to keep data in: name a folder with --data or PLATFORM_DATA."));
}

/// <summary>The global options as given.</summary>
internal sealed record Settings(string DataFolder, string? Postgres, TenantId Tenant, Terminal Terminal);
