using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Platform.Domain.Audit;

namespace Platform.Domain.Tests.Audit;

/// <summary>Credentials are put together from parts, so that no scanner takes this file for a leak.</summary>
public class A_credential_in_an_event
{
    private const string Letters = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKlMnOpQrStUvWxYz012345678901234";

    public static TheoryData<string, string> Credentials => new()
    {
        { "AK" + "IAIOSFODNN7EXAMPLE", "aws-access-key" },
        { "AS" + "IAIOSFODNN7EXAMPLE", "aws-access-key" },
        { "gh" + "p_" + Letters[..36], "github-token" },
        { "gh" + "s_" + Letters[..36], "github-token" },
        { "github" + "_pat_" + Letters[..22] + "_" + Letters[..59], "github-token" },
        { "gl" + "pat-" + Letters[..20], "gitlab-token" },
        { "xo" + "xb-123456789012-" + Letters[..24], "slack-token" },
        { "sk" + "_live_" + Letters[..24], "stripe-key" },
        { "rk" + "_test_" + Letters[..24], "stripe-key" },
        { "wh" + "sec_" + Letters[..32], "stripe-key" },
        { "sk" + "-ant-api03-" + Letters[..40], "anthropic-key" },
        { "sk" + "-proj-" + Letters[..48], "openai-key" },
        { "sk" + "-" + Letters[..48], "openai-key" },
        { "AI" + "za" + Letters[..35], "google-key" },
        { "ya" + "29." + Letters[..40], "google-key" },
        { "GOC" + "SPX-" + Letters[..28], "google-key" },
        { "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0." + Letters[..43], "jwt" },
        { "ey" + "JhbGciOiJub25lIn0.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.", "jwt" },
        { "-----BEGIN RSA " + "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n" + Letters[..64] + "\n" + Letters[..40] + "==\n-----END RSA PRIVATE KEY-----", "private-key" },
        { "-----BEGIN " + "PRIVATE KEY-----\n" + Letters[..64] + "\n" + Letters[..20], "private-key" },
    };

    [Theory, MemberData(nameof(Credentials))]
    public void is_replaced_by_its_kind(string credential, string kind)
    {
        Assert.Equal($"[redacted:{kind}]", Value(credential));
        Assert.Equal($"found ([redacted:{kind}])", Value($"found ({credential})"));
    }

    [Theory, MemberData(nameof(Credentials))]
    public void is_found_behind_escapes(string credential, string kind)
    {
        var escaped = string.Concat(credential.Select(letter => $"\\u{(int)letter:x4}"));
        Assert.Equal($"{{\"a\":\"[redacted:{kind}]\"}}", Json($"{{\"a\":\"{escaped}\"}}"));
    }

    [Theory]
    [InlineData("Authorization: Bearer 0123456789abcdef0123", "Authorization: Bearer [redacted:bearer-token]")]
    [InlineData("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted:basic-credentials]")]
    [InlineData("postgres://app:hunter2@db:5432/x?y=1", "postgres://app:[redacted:url-password]@db:5432/x?y=1")]
    [InlineData("https://:token@host/", "https://:[redacted:url-password]@host/")]
    [InlineData("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=[redacted:aws-secret-key]")]
    public void loses_only_its_secret_part(string text, string expected) => Assert.Equal(expected, Value(text));

    [Theory]
    [InlineData("{\"Authorization\":\"Basic dXNlcjpwYXNz\"}", "{\"Authorization\":\"Basic [redacted:authorization]\"}")]
    [InlineData("{\"secretAccessKey\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}", "{\"secretAccessKey\":\"[redacted:aws-secret-key]\"}")]
    [InlineData("{\"url\":\"https:\\/\\/u:p4ss@h\\/\"}", "{\"url\":\"https://u:[redacted:url-password]@h/\"}")]
    public void is_told_by_its_member_and_behind_slashes(string json, string expected) => Assert.Equal(expected, Json(json));

    [Fact]
    public void is_taken_out_twice_and_the_rest_keeps_its_bytes()
    {
        var key = "gh" + "p_" + Letters[..36];
        Assert.Equal("{ \"a\" : [1.50, \"[redacted:github-token]\"],\n\"b\":\"\\u00e9\", \"c\":\"[redacted:github-token]!\" }",
            Json($"{{ \"a\" : [1.50, \"{key}\"],\n\"b\":\"\\u00e9\", \"c\":\"{key}!\" }}"));
    }

    [Fact]
    public void as_a_name_of_a_member_leaves_two_members_two()
    {
        var (one, two) = ("gh" + "p_" + Letters[..36], "gh" + "o_" + Letters[..36]);
        Assert.Equal("{\"[redacted:github-token]\":1,\"[redacted:github-token]#2\":2}", Json($"{{\"{one}\":1,\"{two}\":2}}"));
    }

    private static string Value(string text)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["text"] = text });
        using var redacted = JsonDocument.Parse(Redaction.Shapes.Apply(json));
        return redacted.RootElement.GetProperty("text").GetString()!;
    }

    private static string Json(string json) => Encoding.UTF8.GetString(Redaction.Shapes.Apply(Encoding.UTF8.GetBytes(json)).Span);
}

public class A_secret_that_the_host_knows
{
    [Theory]
    [InlineData("correct horse")]
    [InlineData("with \"quotes\" and \\ and\nline")]
    [InlineData("pässwörd")]
    public void is_replaced_however_it_is_written(string secret)
    {
        var redaction = new Redaction([secret]);
        var json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["a"] = $"<{secret}>" });
        using var redacted = JsonDocument.Parse(redaction.Apply(json));
        Assert.Equal("<[redacted:secret]>", redacted.RootElement.GetProperty("a").GetString());
    }

    [Fact]
    public void is_replaced_when_its_letters_are_stored_unescaped()
    {
        var json = Encoding.UTF8.GetBytes("[\"pässwörd\"]");
        Assert.Equal("[\"[redacted:secret]\"]", Encoding.UTF8.GetString(new Redaction(["pässwörd"]).Apply(json).Span));
    }

    [Fact]
    public void is_replaced_whole_when_it_contains_another() =>
        Assert.Equal("[redacted:secret]", new Redaction(["abcdef", "abcdefgh"]).Apply("abcdefgh"));

    [Fact]
    public void is_not_looked_for_when_it_is_too_short()
    {
        var shorter = new string('a', Redaction.MinimumSecretLength - 1);
        Assert.Equal(shorter, new Redaction([shorter]).Apply(shorter));
        Assert.Equal("[redacted:secret]", new Redaction([shorter + "a"]).Apply(shorter + "a"));
    }
}

public class Ordinary_text_in_an_event
{
    [Theory]
    [InlineData("0197f3a2-7c1e-7d3a-9b1f-2f6f6b1c9a10")]
    [InlineData("run sk-0197f3a2-7c1e-7d3a-9b1f-2f6f6b1c9a10")]
    [InlineData("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    [InlineData("da39a3ee5e6b4b0d3255bfef95601890afd80709")]
    [InlineData("sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==")]
    [InlineData("The bearer of this certificate-of-attendance and Basic training")]
    [InlineData("sk-learn-preprocessing-pipeline, risk-Adjusted-Return-Of-2026-portfolio")]
    [InlineData("AKIAIOSFODNN7EXAMPL, AKIAIOSFODNN7EXAMPLEX, xAKIAIOSFODNN7EXAMPLE")]
    [InlineData("ghp_short, glpat-short, xoxb-hello-world, AIzaShort, eyJ.eyJ., eyJhbGci.notajwt")]
    [InlineData("a file starts with -----BEGIN PRIVATE KEY----- and ends with another line like it")]
    [InlineData("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUaB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA\n-----END CERTIFICATE-----")]
    [InlineData("https://example.org:8443/a:b@c?d=e@f, mailto:someone@example.org, https://user@example.org/")]
    [InlineData("Gr\u00fc\u00dfe & <caf\u00e9> it's 1 + 1 \ud83d\ude00")]
    public void keeps_every_byte(string text)
    {
        ReadOnlyMemory<byte> json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["text"] = text });
        var kept = Redaction.Shapes.Apply(json);
        Assert.Equal(Encoding.UTF8.GetString(json.Span), Encoding.UTF8.GetString(kept.Span));
        Assert.True(MemoryMarshal.TryGetArray(json, out var before) && MemoryMarshal.TryGetArray(kept, out var after) && ReferenceEquals(before.Array, after.Array));
    }

    [Fact]
    public void about_an_authorization_stays()
    {
        ReadOnlyMemory<byte> json = "{\"authorization\":\"Approved by the head of purchasing\"}"u8.ToArray();
        Assert.Equal(json, Redaction.Shapes.Apply(json));
    }

    [Fact]
    public void of_great_length_takes_time_in_proportion()
    {
        // Without the bound at the front of each shape these would take hours.
        foreach (var piece in new[] { "eyJ", "sk-a", "a://b:", "-----BEGIN PRIVATE KEY-----", "bearer ", "xoxb-", "secretaccesskey=", "authorization: basic " })
        {
            var json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { ["text"] = string.Concat(Enumerable.Repeat(piece, 20_000)) });
            using var _ = JsonDocument.Parse(Redaction.Shapes.Apply(json));
        }
    }

    [Fact]
    public void stays_valid_whatever_is_cut_and_joined()
    {
        const int seed = 20261121;
        var random = new Random(seed);
        string[] pieces = ["sk-ant-", "eyJhbGciOiJIUzI1NiJ9", ".", "://u:", "@", "\"", "\\", "\n", "Bearer ", "a1B2c3D4e5F6g7H8i9J0", "\u00e9", "\ud83d\ude00", "-----BEGIN PRIVATE KEY-----", "ghp_", "\0", "authorization"];
        for (var i = 0; i < 5_000; i++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => pieces[random.Next(pieces.Length)]));
            var json = JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, string> { [text] = text, ["number"] = "1" });
            var redacted = Redaction.Shapes.Apply(json);
            using var parsed = JsonDocument.Parse(redacted);
            Assert.Equal("1", parsed.RootElement.GetProperty("number").GetString());
            Assert.True(redacted.Span.SequenceEqual(Redaction.Shapes.Apply(redacted).Span), $"seed {seed}, round {i}: {text}");
        }
    }

    [Fact]
    public void that_is_no_json_is_refused_when_it_looks_like_a_credential() =>
        Assert.ThrowsAny<JsonException>(() => Redaction.Shapes.Apply(Encoding.UTF8.GetBytes("{\"a\":\"\\ud800\"}")));
}
