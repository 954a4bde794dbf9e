using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Platform.Domain.Daemons;

/// <summary>SHA-256 as lower-case hexadecimal.</summary>
public static class ContentHash
{
    public static string Of(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>Of the canonical form.</summary>
    public static string Of(JsonElement value) => Convert.ToHexStringLower(SHA256.HashData(CanonicalJson.Bytes(value)));
}
