namespace Platform.EmbeddedPostgres;

/// <summary>The npm registry this machine is configured for, read as npm does: environment, user's .npmrc, the system's, the public one.</summary>
internal static class NpmRegistry
{
    private static readonly Uri Public = new("https://registry.npmjs.org/");

    public static Uri Configured()
    {
        foreach (var name in (string[])["npm_config_registry", "NPM_CONFIG_REGISTRY"])
        {
            if (Parse(Environment.GetEnvironmentVariable(name)) is { } fromEnvironment) { return fromEnvironment; }
        }

        string[] files =
        [
            Environment.GetEnvironmentVariable("NPM_CONFIG_USERCONFIG") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".npmrc"),
            "/etc/npmrc",
            "/usr/etc/npmrc",
            "/usr/local/etc/npmrc",
        ];
        foreach (var file in files)
        {
            if (!File.Exists(file)) { continue; }
            foreach (var line in File.ReadLines(file))
            {
                var at = line.IndexOf('=');
                if (at > 0 && line[..at].Trim() is "registry" or "@embedded-postgres:registry" && Parse(line[(at + 1)..].Trim(' ', '"', '\'')) is { } found) { return found; }
            }
        }

        return Public;
    }

    private static Uri? Parse(string? text) =>
        !string.IsNullOrWhiteSpace(text) && Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http"
            ? new Uri(text.EndsWith('/') ? text : text + "/")
            : null;
}
