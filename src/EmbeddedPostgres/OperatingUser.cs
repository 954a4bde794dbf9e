namespace Platform.EmbeddedPostgres;

/// <summary>The user that the server runs as. PostgreSQL refuses root, so root hands it to an unprivileged user.</summary>
/// <param name="MustSwitch">True when this process is root.</param>
internal sealed record OperatingUser(string Name, int UserId, int GroupId, bool MustSwitch)
{
    private const string Setpriv = "/usr/bin/setpriv";

    /// <summary>Who this process is, by name; the name that peer authentication will see.</summary>
    public static string CurrentName => Environment.UserName;

    /// <exception cref="ClusterException">Root, and nobody to hand the server to.</exception>
    public static OperatingUser Choose()
    {
        if (!Environment.IsPrivilegedProcess) { return new OperatingUser(CurrentName, -1, -1, MustSwitch: false); }

        // Debian and Red Hat make "postgres" with their packages; "nobody" is everywhere.
        foreach (var wanted in (string[])["platform", "postgres", "nobody"])
        {
            foreach (var entry in File.ReadLines("/etc/passwd"))
            {
                var fields = entry.Split(':');
                if (fields.Length > 3 && fields[0] == wanted && int.TryParse(fields[2], out var user) && int.TryParse(fields[3], out var group) && user > 0)
                {
                    return new OperatingUser(wanted, user, group, MustSwitch: true);
                }
            }
        }

        throw new ClusterException("PostgreSQL refuses to run as root and /etc/passwd has none of the users platform, postgres, nobody. Run `useradd --system platform`, run as an ordinary user, or give --postgres.");
    }

    public IReadOnlyList<string> Wrap(IReadOnlyList<string> line) => File.Exists(Setpriv)
        ? [Setpriv, $"--reuid={UserId}", $"--regid={GroupId}", "--clear-groups", "--", .. line]
        : throw new ClusterException($"{Setpriv} is missing (package util-linux); it is needed to run PostgreSQL as '{Name}' instead of root.");

    /// <summary>Gives a folder and what is in it to this user.</summary>
    public async Task Own(string path, CancellationToken cancellation)
    {
        if (!MustSwitch) { return; }
        var result = await Command.Run("/bin/chown", ["-R", "-h", $"{UserId}:{GroupId}", path], null, TimeSpan.FromMinutes(1), cancellation);
        if (result.ExitCode != 0) { throw new ClusterException($"Cannot give {path} to user '{Name}': {result.Tail}"); }
    }

    /// <summary>Whether this user may enter a folder.</summary>
    public async Task<bool> CanEnter(string path, CancellationToken cancellation) =>
        !MustSwitch || (await Command.Run("/usr/bin/test", ["-x", path], this, TimeSpan.FromSeconds(10), cancellation)).ExitCode == 0;
}
