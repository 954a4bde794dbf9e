using System.Buffers;
using System.Security.Cryptography;
using Platform.Messaging;
using Platform.Messaging.Durability;

namespace Platform.Capabilities.Blobs;

/// <summary>A stored content whose bytes no longer have its hash: the disk or somebody has changed it.</summary>
public sealed class CorruptContentException(string hash, string path) : IOException($"Content {hash} in {path} does not have its hash any more.");

/// <summary>
/// Bytes by their SHA-256, in a folder: kept once however often they come, and checked whenever they are read. Holds before-images, so what
/// <see cref="Put"/> returns is on the disk.
/// </summary>
public sealed class ContentStore
{
    /// <summary>A before-image is held in memory while it is written; 64 MiB times a handful of stages fits a small machine.</summary>
    public const long DefaultMaxBytes = 64L << 20;

    private static readonly SearchValues<char> Hexadecimal = SearchValues.Create("0123456789abcdef");

    private readonly string folder;

    public ContentStore(string folder, long maxBytes = DefaultMaxBytes)
    {
        this.folder = Path.GetFullPath(folder);
        MaxBytes = maxBytes;
        Directory.CreateDirectory(Path.Combine(this.folder, "incoming"));
    }

    public long MaxBytes { get; }

    /// <returns>SHA-256, lower-case hexadecimal.</returns>
    /// <exception cref="LimitExceededException"/>
    /// <exception cref="IOException">It is not durable; nothing may rely on it.</exception>
    public string Put(ReadOnlySpan<byte> content)
    {
        if (content.Length > MaxBytes) { throw new LimitExceededException("content bytes", content.Length, MaxBytes); }
        var hash = Convert.ToHexStringLower(SHA256.HashData(content));
        var path = PathOf(hash);
        var shard = Path.GetDirectoryName(path)!;

        if (File.Exists(path) && TryRead(path) is { } held && held.AsSpan().SequenceEqual(content))
        {
            // Somebody else may have linked it a moment ago and not synced the folder yet.
            DurableFile.FlushFolder(shard);
            return hash;
        }

        Directory.CreateDirectory(shard);
        DurableFile.Replace(path, Path.Combine(folder, "incoming", $"{hash}.{Guid.NewGuid():n}"), content);
        DurableFile.FlushFolder(folder);
        return hash;
    }

    public bool Has(string hash) => File.Exists(PathOf(hash));

    /// <exception cref="FileNotFoundException"/>
    /// <exception cref="CorruptContentException"/>
    public byte[] Read(string hash)
    {
        var path = PathOf(hash);
        var content = File.ReadAllBytes(path);
        return Convert.ToHexStringLower(SHA256.HashData(content)) == hash ? content : throw new CorruptContentException(hash, path);
    }

    private static byte[]? TryRead(string path)
    {
        try { return File.ReadAllBytes(path); }
        catch (IOException) { return null; }
    }

    // The hash comes from stored arguments: anything but 64 hexadecimal digits would be a path.
    private string PathOf(string hash) => hash.Length == 64 && hash.AsSpan().IndexOfAnyExcept(Hexadecimal) < 0
        ? Path.Combine(folder, hash[..2], hash[2..])
        : throw new ArgumentException($"'{hash}' is not a SHA-256 in lower-case hexadecimal.", nameof(hash));
}
