namespace Platform.Messaging;

/// <summary>The owner of a stream, a message or a read model. Part of every key.</summary>
/// <param name="Value">1 to 64 characters of <c>A-Z a-z 0-9 - _ * .</c></param>
public readonly record struct TenantId(string Value)
{
    public const int MaxLength = 64;

    /// <summary>The tenant of a single-tenant installation; Marten's own name for it.</summary>
    public static readonly TenantId Default = new("*DEFAULT*");

    /// <summary>Accepts only what may stand in a key.</summary>
    public static bool TryParse(string? text, out TenantId tenant)
    {
        tenant = default;
        if (string.IsNullOrEmpty(text) || text.Length > MaxLength) { return false; }
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '*' or '.')) { return false; }
        }

        tenant = new TenantId(text);
        return true;
    }

    public override string ToString() => Value;
}
