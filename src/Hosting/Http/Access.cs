using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>
/// Who may call. With a token: whoever sends it. Without one the server listens on this machine only, and what must be kept out is a page in a browser
/// here: by the Host header (a rebound DNS name is not ours), and by what browsers say of a request's origin.
/// </summary>
/// <param name="token">Null: none is asked for.</param>
/// <param name="hosts">Host names by which the server may be called, beside this machine's own; null: any, as behind a token or on a Unix socket.</param>
public sealed class Access(string? token, IReadOnlyCollection<string>? hosts)
{
    /// <summary>A token that could be guessed is none.</summary>
    public const int MinTokenLength = 16;

    public const int MaxTokenLength = 1_024;

    private static readonly string[] OwnHosts = ["localhost", "127.0.0.1", "[::1]"];

    private readonly byte[]? expected = token is null ? null : SHA256.HashData(Encoding.UTF8.GetBytes(token));

    /// <summary>Why the request is refused; null: it is not.</summary>
    public ApiAnswer? Refuse(HttpRequest request)
    {
        if (hosts is not null && !OwnHosts.Contains(request.Host.Host, StringComparer.OrdinalIgnoreCase) && !hosts.Contains(request.Host.Host, StringComparer.OrdinalIgnoreCase))
        {
            return Problems.Answer(new Problem("http.wrong-host", "This server answers by the names of this machine only: call it as localhost.", 421));
        }

        if (IsFromAnotherSite(request))
        {
            return Problems.Answer(new Problem("http.cross-site", "A page of another site may not call this server.", 403));
        }

        if (expected is null || IsOpen(request.Path)) { return null; }
        var given = request.Headers.Authorization.ToString();
        const string scheme = "Bearer ";
        var sound = given.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(given[scheme.Length..].Trim())), expected);
        return sound ? null : Problems.Answer(new Problem("http.unauthorized", "Send the token of this server: Authorization: Bearer TOKEN.", 401)) with
        {
            Headers = new Dictionary<string, string> { ["WWW-Authenticate"] = "Bearer" },
        };
    }

    /// <summary>Probes of a supervisor carry no token, and are told nothing but how it goes.</summary>
    private static bool IsOpen(PathString path) => path.StartsWithSegments("/health", StringComparison.Ordinal);

    /// <summary>Fetch Metadata, or from older browsers the Origin header. Following a link is no call of a page.</summary>
    private static bool IsFromAnotherSite(HttpRequest request)
    {
        var site = request.Headers["Sec-Fetch-Site"].ToString();
        if (site.Length > 0) { return site is not ("same-origin" or "none") && !(HttpMethods.IsGet(request.Method) && request.Headers["Sec-Fetch-Mode"] == "navigate"); }
        var origin = request.Headers.Origin.ToString();
        return origin.Length > 0 && !(Uri.TryCreate(origin, UriKind.Absolute, out var from) && string.Equals(from.Authority, request.Host.Value, StringComparison.OrdinalIgnoreCase));
    }
}
