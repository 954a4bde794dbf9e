using System.Security.Cryptography;
using System.Text;

namespace Platform.Messaging;

/// <summary>
/// UUIDv5 (RFC 9562 section 5.5) of a source id and a purpose: a redelivered message makes no second thing, and two purposes never share an id.
/// </summary>
public static class DeterministicId
{
    public static Guid Of(Guid source, string purpose)
    {
        var nameLength = Encoding.UTF8.GetByteCount(purpose);
        var buffer = nameLength <= 240 ? stackalloc byte[16 + nameLength] : new byte[16 + nameLength];
        source.TryWriteBytes(buffer, bigEndian: true, out _);
        Encoding.UTF8.GetBytes(purpose, buffer[16..]);

        Span<byte> hash = stackalloc byte[20];
#pragma warning disable CA5350 // RFC 9562 prescribes SHA-1 for version 5; it names, it does not protect.
        SHA1.HashData(buffer, hash);
#pragma warning restore CA5350
        hash[6] = (byte)((hash[6] & 0x0F) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}
