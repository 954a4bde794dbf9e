using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Platform.Domain.Audit;

/// <summary>
/// Replaces what looks like a credential in the JSON of an event by <c>[redacted:kind]</c>, before it is stored for ever.
/// Shapes with a maker's mark decide (prefix, length, alphabet), never entropy: a UUID, a hash or a long word stays as it is.
/// </summary>
public sealed partial class Redaction
{
    /// <summary>A shorter secret value would be found in ordinary words and numbers; it is not looked for.</summary>
    public const int MinimumSecretLength = 6;

    /// <summary>Deeper than the serializer writes (64), so that the reader is never what refuses an event.</summary>
    private const int MaximumDepth = 256;

    /// <summary>
    /// What every rule below needs to be in the text, but for the one of URLs, which needs <c>://</c> and an at sign: addresses of files alone would send most events
    /// the long way. None under three characters: a shorter one makes the search five times slower.
    /// </summary>
    private static readonly string[] Marks =
    [
        "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "hooks.slack.com/", "sk_live_", "sk_test_",
        "rk_live_", "rk_test_", "whsec_", "sk-", "AIza", "ya29.", "GOCSPX-", "-----BEGIN", "eyJ", "bearer", "authorization",
        "secret_access_key", "secretaccesskey",
    ];

    /// <summary>The order matters: a token with its own mark is named by it before the place where it stands (a header, a URL) names it.</summary>
    private static readonly (Regex Shape, string Replacement)[] Rules =
    [
        (PrivateKey(), "[redacted:private-key]"),
        (AwsAccessKey(), "[redacted:aws-access-key]"),
        (AwsSecretKey(), "${keep}[redacted:aws-secret-key]"),
        (GitHubToken(), "[redacted:github-token]"),
        (GitLabToken(), "[redacted:gitlab-token]"),
        (SlackToken(), "[redacted:slack-token]"),
        (SlackHook(), "${keep}[redacted:slack-webhook]"),
        (StripeKey(), "[redacted:stripe-key]"),
        (AnthropicKey(), "[redacted:anthropic-key]"),
        (OpenAiKey(), "[redacted:openai-key]"),
        (GoogleKey(), "[redacted:google-key]"),
        (Jwt(), "[redacted:jwt]"),
        (Bearer(), "${keep}[redacted:bearer-token]"),
        (BasicHeader(), "${keep}[redacted:basic-credentials]"),
        (UrlPassword(), "${keep}[redacted:url-password]@"),
    ];

    private static readonly SearchValues<string> TextMarks = SearchValues.Create(Marks, StringComparison.OrdinalIgnoreCase);

    private readonly string[] secrets;
    private readonly SearchValues<string> marks;
    private readonly bool anyEscape;

    /// <param name="secrets">Values that the host knows to be secret, such as the vault's; those under <see cref="MinimumSecretLength"/> characters are left out.</param>
    public Redaction(IEnumerable<string> secrets)
    {
        // The longest first: a secret that contains another one is replaced whole.
        this.secrets = [.. secrets.Where(secret => secret.Length >= MinimumSecretLength).Distinct().OrderByDescending(secret => secret.Length)];
        var wanted = Marks.Concat(this.secrets.Select(secret => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(secret))));
        anyEscape = this.secrets.Any(secret => secret.Any(letter => letter is < ' ' or '"' or '\\'));
        marks = SearchValues.Create([.. wanted], StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Knows the shapes only, no value.</summary>
    public static Redaction Shapes { get; } = new([]);

    /// <summary>Redacts string values and property names; numbers are left alone. Everything else keeps its bytes.</summary>
    /// <param name="json">One JSON value in UTF-8.</param>
    /// <returns>The same memory when there is nothing to redact.</returns>
    /// <exception cref="JsonException">The bytes are not JSON, and something in them looked like a credential.</exception>
    public ReadOnlyMemory<byte> Apply(ReadOnlyMemory<byte> json) => MayHold(json.Span) ? Rewrite(json) : json;

    /// <summary>Redacts plain text: a log line, an error's message.</summary>
    public string Apply(string text)
    {
        foreach (var secret in secrets) { text = text.Replace(secret, "[redacted:secret]", StringComparison.Ordinal); }

        if (!text.AsSpan().ContainsAny(TextMarks) && !(text.Contains('@') && text.Contains("://", StringComparison.Ordinal))) { return text; }
        foreach (var (shape, replacement) in Rules) { text = shape.Replace(text, replacement); }

        return text;
    }

    /// <summary>One vectorised pass for all marks at once; bytes are widened to characters because only these can be searched for many strings.</summary>
    private bool MayHold(ReadOnlySpan<byte> json)
    {
        // Letters of a mark may be hidden behind these two escapes; the others stand for what only a host's secret holds.
        if (json.IndexOf("\\u"u8) >= 0 || json.IndexOf("\\/"u8) >= 0 || (anyEscape && json.Contains((byte)'\\'))) { return true; }
        if (json.Contains((byte)'@') && json.IndexOf("://"u8) >= 0) { return true; }

        var characters = ArrayPool<char>.Shared.Rent(json.Length);
        try
        {
            var length = Encoding.Latin1.GetChars(json, characters);
            return characters.AsSpan(0, length).ContainsAny(marks);
        }
        finally
        {
            ArrayPool<char>.Shared.Return(characters);
        }
    }

    private ReadOnlyMemory<byte> Rewrite(ReadOnlyMemory<byte> json)
    {
        var reader = new Utf8JsonReader(json.Span, new JsonReaderOptions { MaxDepth = MaximumDepth });
        ArrayBufferWriter<byte>? target = null;
        var copied = 0;
        var names = 0;
        string? name = null;
        while (reader.Read())
        {
            if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName)) { name = null; continue; }

            var text = Text(ref reader);
            string redacted;
            if (reader.TokenType is JsonTokenType.PropertyName)
            {
                name = text;
                redacted = Apply(text);

                // Two names that became equal would lose one of their values in jsonb.
                if (redacted != text && names++ > 0) { redacted = $"{redacted}#{names}"; }
            }
            else
            {
                redacted = Apply(text);
                if (name is not null) { redacted = ByName(name, redacted); }

                name = null;
            }

            if (redacted == text) { continue; }

            target ??= new ArrayBufferWriter<byte>(json.Length + 64);
            var start = (int)reader.TokenStartIndex + 1;
            target.Write(json.Span[copied..start]);
            target.Write(JsonEncodedText.Encode(redacted, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes);
            copied = start + reader.ValueSpan.Length;
        }

        if (target is null) { return json; }

        target.Write(json.Span[copied..]);
        return target.WrittenMemory;
    }

    /// <summary>Credentials without a mark of their own, told by the member that holds them.</summary>
    private static string ByName(string name, string text)
    {
        if (name.EndsWith("authorization", StringComparison.OrdinalIgnoreCase) && HeaderValue().IsMatch(text)) { return HeaderValue().Replace(text, "${keep}[redacted:authorization]"); }

        return AwsSecretName().IsMatch(name) && AwsSecretValue().IsMatch(text) ? "[redacted:aws-secret-key]" : text;
    }

    private static string Text(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw new JsonException("A string holds half of a surrogate pair or is no UTF-8.", error);
        }
    }

    // Every repeat starts behind a letter outside its own alphabet, so that a long run is tried once: linear in the text.
    [GeneratedRegex(@"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\\rn]*(?:[A-Za-z-]{1,30}: [^\r\n]{0,200}\s*){0,4}[A-Za-z0-9+/]{32,}[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z0-9 ]{1,40}-----)?")]
    private static partial Regex PrivateKey();

    [GeneratedRegex(@"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])")]
    private static partial Regex AwsAccessKey();

    [GeneratedRegex(@"(?<keep>(?i:secret_?access_?key)[""']?\s{0,4}[:=]\s{0,4}[""']?)[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])")]
    private static partial Regex AwsSecretKey();

    [GeneratedRegex(@"^(?:aws)?_?secret_?access_?key$", RegexOptions.IgnoreCase)]
    private static partial Regex AwsSecretName();

    [GeneratedRegex(@"^[A-Za-z0-9/+]{40}$")]
    private static partial Regex AwsSecretValue();

    [GeneratedRegex(@"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9])")]
    private static partial Regex GitHubToken();

    [GeneratedRegex(@"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}")]
    private static partial Regex GitLabToken();

    [GeneratedRegex(@"(?<![A-Za-z0-9])xox[abeoprs]-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{10,}")]
    private static partial Regex SlackToken();

    [GeneratedRegex(@"(?<keep>hooks\.slack\.com/(?:services|workflows)/)[A-Za-z0-9/]{20,}")]
    private static partial Regex SlackHook();

    [GeneratedRegex(@"(?<![A-Za-z0-9])(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}={0,2})")]
    private static partial Regex StripeKey();

    [GeneratedRegex(@"(?<![A-Za-z0-9_-])sk-ant-[A-Za-z0-9_-]{20,}")]
    private static partial Regex AnthropicKey();

    // A digit and a capital tell a key from a name such as sk-learn-preprocessing-pipeline, and from sk- before a UUID.
    [GeneratedRegex(@"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20,}")]
    private static partial Regex OpenAiKey();

    [GeneratedRegex(@"(?<![A-Za-z0-9_-])(?:AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-]))")]
    private static partial Regex GoogleKey();

    // RFC 7519: three parts, the last empty when nothing signs; RFC 7516: five parts.
    [GeneratedRegex(@"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|(?:[A-Za-z0-9_-]*\.){3}[A-Za-z0-9_-]{8,})")]
    private static partial Regex Jwt();

    // RFC 6750 section 2.1. A digit tells a token from prose about bearers.
    [GeneratedRegex(@"(?<keep>\b[Bb](?:earer|EARER)[ \t]{1,4})(?=[A-Za-z._~+/-]*[0-9])[A-Za-z0-9._~+/-]{16,}=*")]
    private static partial Regex Bearer();

    [GeneratedRegex(@"(?<keep>(?i:authorization)[""']?\s{0,4}[:=]\s{0,4}[""']?(?i:basic)[ \t]{1,4})[A-Za-z0-9+/]{4,}={0,2}")]
    private static partial Regex BasicHeader();

    // The registered schemes in use, and two that vendors made up; any other word is prose about an authorization.
    [GeneratedRegex(@"^(?<keep>(?:Basic|Bearer|Digest|Negotiate|NTLM|Token|ApiKey|AWS4-HMAC-SHA256) )[^\s\[][\s\S]*$", RegexOptions.IgnoreCase)]
    private static partial Regex HeaderValue();

    // RFC 3986 section 3.2.1; the part before the colon stays: who, but not with what.
    [GeneratedRegex(@"(?<keep>(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/?#@:\[\]]{0,256}:)(?!\[redacted:)[^\s/?#@]{1,1024}@")]
    private static partial Regex UrlPassword();
}
