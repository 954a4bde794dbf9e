using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Platform.Messaging;
using Platform.Messaging.Durability;

namespace Platform.EventStore.Audit;

/// <summary>
/// The state of a tenant's tree at a size, in C2SP's tlog-checkpoint form within a C2SP signed-note: origin, size and root in base64, each on a line.
/// </summary>
public sealed record Checkpoint(string Origin, long Size, ReadOnlyMemory<byte> Root)
{
    public string Text => string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{Size}\n{Convert.ToBase64String(Root.Span)}\n");
}

/// <summary>The installation's signing key: ECDSA on P-256 (signature type 0x02 of C2SP's signed-note; its key id is the hash of the SPKI).</summary>
public sealed class CheckpointKey : IDisposable
{
    /// <summary>A note is three short lines and a signature; what is longer is none of ours.</summary>
    private const int MaxNote = 4_096;

    private readonly ECDsa key;

    private CheckpointKey(ECDsa key)
    {
        this.key = key;
        PublicKey = key.ExportSubjectPublicKeyInfo();
        KeyId = BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(PublicKey));
        Name = $"platform/{KeyId:x8}";
    }

    /// <summary>SubjectPublicKeyInfo, DER. Keep a copy where the log's operator cannot change it.</summary>
    public byte[] PublicKey { get; }

    public uint KeyId { get; }

    /// <summary>Of the key and so of the installation.</summary>
    public string Name { get; }

    /// <summary>Reads the key file, or makes it, readable by its owner only. Of several that make it at the same time one is the first, and the others read his.</summary>
    /// <exception cref="IOException">The file cannot be made durable.</exception>
    /// <exception cref="CryptographicException">The file holds no P-256 key.</exception>
    public static CheckpointKey LoadOrCreate(string file)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        if (File.Exists(file))
        {
            key.ImportFromPem(File.ReadAllText(file));
            return new CheckpointKey(key);
        }

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
        var temporary = $"{file}.{Guid.NewGuid():n}";
        using (File.Create(temporary)) { }
        File.SetUnixFileMode(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        if (!DurableFile.Create(file, temporary, Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem()))) { key.ImportFromPem(File.ReadAllText(file)); }
        return new CheckpointKey(key);
    }

    /// <summary>A key that can only verify.</summary>
    public static CheckpointKey FromPublic(byte[] subjectPublicKeyInfo)
    {
        var key = ECDsa.Create();
        key.ImportSubjectPublicKeyInfo(subjectPublicKeyInfo, out _);
        return new CheckpointKey(key);
    }

    public string Origin(TenantId tenant) => $"{Name}/{tenant}";

    public string Sign(Checkpoint checkpoint)
    {
        var text = checkpoint.Text;
        var signature = key.SignData(Encoding.UTF8.GetBytes(text), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
        var line = new byte[4 + signature.Length];
        BinaryPrimitives.WriteUInt32BigEndian(line, KeyId);
        signature.CopyTo(line, 4);
        return $"{text}\n\u2014 {Name} {Convert.ToBase64String(line)}\n";
    }

    /// <summary>The checkpoint of a note that this key has signed; null for any other text.</summary>
    public Checkpoint? Verify(string note)
    {
        if (note.Length > MaxNote) { return null; }
        var split = note.LastIndexOf("\n\n", StringComparison.Ordinal);
        if (split < 0) { return null; }
        var text = note[..(split + 1)];
        foreach (var line in note[(split + 2)..].Split('\n'))
        {
            var parts = line.Split(' ');
            if (parts is not ["\u2014", var name, var encoded] || name != Name) { continue; }
            var bytes = new byte[encoded.Length];
            if (!Convert.TryFromBase64String(encoded, bytes, out var length) || length < 5 || BinaryPrimitives.ReadUInt32BigEndian(bytes) != KeyId) { continue; }
            return key.VerifyData(Encoding.UTF8.GetBytes(text), bytes.AsSpan(4, length - 4), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence) ? Parse(text) : null;
        }

        return null;
    }

    public void Dispose() => key.Dispose();

    private static Checkpoint? Parse(string text)
    {
        var root = new byte[MerkleTree.HashSize];
        return text.Split('\n') is [{ Length: > 0 } origin, var size, var encoded, ..]
            && long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var leaves)
            && Convert.TryFromBase64String(encoded, root, out var length) && length == MerkleTree.HashSize
                ? new Checkpoint(origin, leaves, root)
                : null;
    }
}
