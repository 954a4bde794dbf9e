using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Http;

public sealed record GetArguments(string Url, IReadOnlyDictionary<string, string>? Headers = null, long? MaxBytes = null);

/// <param name="Url">After redirects.</param>
/// <param name="Text">Empty for what is no text.</param>
/// <param name="SizeBytes">After decompression.</param>
public sealed record HttpGot(string Url, int Status, string ContentType, string Text, bool Binary, long SizeBytes, string Sha256, IReadOnlyDictionary<string, string> Headers);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(GetArguments))]
[JsonSerializable(typeof(HttpGot))]
internal sealed partial class HttpJson : JsonSerializerContext;

/// <summary>Gets a page of the public Internet from the hosts that the run was granted. The address that was checked is the one connected to.</summary>
public sealed class HttpGet : ICapability, IDisposable
{
    /// <summary>After decompression: what a bomb would unpack.</summary>
    public const long MaxBytes = 8L << 20;

    public const int MaxRedirects = 5;

    /// <summary>Of the answer's headers, in KiB.</summary>
    public const int MaxHeaderKilobytes = 32;

    /// <summary>For all redirects and the body together.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private const int MaxUrlCharacters = 8_192;

    // A daemon gives no credentials here, and does not choose whom it says to be or how the message is framed.
    private static readonly HashSet<string> AllowedHeaders = new(StringComparer.OrdinalIgnoreCase) { "Accept", "Accept-Language", "If-None-Match", "If-Modified-Since" };

    private readonly AddressPolicy policy;
    private readonly HttpMessageInvoker client;

    public HttpGet() : this(AddressPolicy.Production) { }

    internal HttpGet(AddressPolicy policy)
    {
        this.policy = policy;
        client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            Credentials = null,
            AutomaticDecompression = DecompressionMethods.All,
            MaxResponseHeadersLength = MaxHeaderKilobytes,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            // A kept connection would outlive the check of its address.
            PooledConnectionLifetime = TimeSpan.Zero,
            ConnectCallback = Connect,
        });
    }

    public CapabilityDescriptor Descriptor { get; } = new(
        "http.get", "1", "Gets a web page or file as text.", EffectClass.Pure, EffectKind.Register, true,
        JsonElement.Parse("""
            { "type": "object", "additionalProperties": false, "required": ["url"], "properties": {
              "url": { "type": "string", "minLength": 1, "maxLength": 8192 },
              "headers": { "type": "object", "maxProperties": 8, "additionalProperties": { "type": "string", "maxLength": 1024 } },
              "max_bytes": { "type": "integer", "minimum": 1, "maximum": 8388608 } } }
            """),
        JsonElement.Parse("""{ "type": "object", "required": ["url", "status", "content_type", "text", "binary", "size_bytes", "sha256", "headers"] }"""));

    /// <summary>Checks the address and the grant; nothing is asked of the network yet.</summary>
    public Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
    {
        var url = Check(Arguments(call).Url, call.Grant);
        return Task.FromResult(new EffectPlan([new Touch(url.AbsoluteUri, Access.Read, new Image("value"))], null));
    }

    public async Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
    {
        var arguments = Arguments(call);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Deadline);
        try
        {
            return await Get(arguments, call.Grant, deadline.Token);
        }
        catch (HttpRequestException failure) when (Refusal(failure) is { } refusal)
        {
            throw new CapabilityException(refusal.Type, refusal.Message, failure);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException or InvalidDataException)
        {
            throw new CapabilityException("connection", $"{arguments.Url}: {failure.Message}", failure);
        }
        catch (OperationCanceledException failure) when (!cancellation.IsCancellationRequested)
        {
            throw new CapabilityException("timeout", $"{arguments.Url} did not answer within {Deadline.TotalSeconds} seconds.", failure);
        }
    }

    public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => Task.FromResult<ReadBack>(new ReadBack.NotApplied());

    public void Dispose() => client.Dispose();

    internal static Uri Check(string text, Grant grant)
    {
        if (text.Length > MaxUrlCharacters) { throw new CapabilityException("invalid", $"A URL of more than {MaxUrlCharacters} characters."); }
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || text.Any(c => char.IsControl(c) || c is '\\' or ' ')) { throw new CapabilityException("invalid", $"'{text}' is no URL."); }
        if (url.Scheme is not ("http" or "https")) { throw new CapabilityException("denied", $"{url.Scheme}: only http and https are spoken."); }
        if (url.UserInfo.Length > 0) { throw new CapabilityException("denied", "A URL with a user name in it is refused."); }
        var host = url.IdnHost.TrimEnd('.').ToLowerInvariant();
        return grant.Network.Any(g => Covers(g.TrimEnd('.').ToLowerInvariant(), host))
            ? url
            : throw new CapabilityException("denied", $"{host} is not among the hosts that the daemon was granted.");
    }

    private static bool Covers(string granted, string host) =>
        granted == "*" || granted == host || (granted.StartsWith("*.", StringComparison.Ordinal) && host.EndsWith(granted[1..], StringComparison.Ordinal));

    private static CapabilityException? Refusal(Exception? failure)
    {
        for (; failure is not null; failure = failure.InnerException)
        {
            if (failure is CapabilityException refusal) { return refusal; }
        }

        return null;
    }

    private static GetArguments Arguments(CapabilityCall call)
    {
        try { return call.Arguments.Deserialize(HttpJson.Default.GetArguments)!; }
        catch (JsonException failure) { throw new CapabilityException("invalid", failure.Message, failure); }
    }

    private async Task<EffectResult> Get(GetArguments arguments, Grant grant, CancellationToken cancellation)
    {
        var url = Check(arguments.Url, grant);
        for (var redirects = 0; ; redirects++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, url) { Headers = { { "User-Agent", "Platform" } } };
            foreach (var (name, value) in arguments.Headers ?? new Dictionary<string, string>())
            {
                if (!AllowedHeaders.Contains(name)) { throw new CapabilityException("denied", $"Header {name} may not be set; allowed are {string.Join(", ", AllowedHeaders)}."); }
                if (!request.Headers.TryAddWithoutValidation(name, value) || value.Any(char.IsControl)) { throw new CapabilityException("invalid", $"Header {name} has no proper value."); }
            }

            using var response = await client.SendAsync(request, cancellation);
            if ((int)response.StatusCode is 301 or 302 or 303 or 307 or 308 && response.Headers.Location is { } location)
            {
                if (redirects == MaxRedirects) { throw new CapabilityException("denied", $"{arguments.Url} redirects more than {MaxRedirects} times."); }
                url = Check(new Uri(url, location).AbsoluteUri, grant);
                continue;
            }

            return await Read(url, response, Math.Min(arguments.MaxBytes ?? MaxBytes, MaxBytes), cancellation);
        }
    }

    private static async Task<EffectResult> Read(Uri url, HttpResponseMessage response, long limit, CancellationToken cancellation)
    {
        using var body = await response.Content.ReadAsStreamAsync(cancellation);
        using var kept = new MemoryStream();
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            for (int read; (read = await body.ReadAsync(buffer, cancellation)) > 0;)
            {
                if (kept.Length + read > limit) { throw new CapabilityException("too_large", $"{url} has more than {limit} bytes."); }
                await kept.WriteAsync(buffer.AsMemory(0, read), cancellation);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        var content = kept.ToArray();
        var hash = Convert.ToHexStringLower(SHA256.HashData(content));
        var (text, encoding) = Files.ReadFileCapability.Decode(content, int.MaxValue);
        var headers = response.Headers.Concat(response.Content.Headers).Where(h => !h.Key.Equals("Set-Cookie", StringComparison.OrdinalIgnoreCase))
            .ToDictionary(h => h.Key.ToLowerInvariant(), h => string.Join(", ", h.Value), StringComparer.Ordinal);
        var result = new HttpGot(
            url.AbsoluteUri, (int)response.StatusCode, response.Content.Headers.ContentType?.MediaType ?? "", text, encoding == "binary", content.Length, hash, headers);
        return new EffectResult(
            JsonSerializer.SerializeToElement(result, HttpJson.Default.HttpGot), [new Touch(url.AbsoluteUri, Access.Read, new Image("value", hash, content.Length))]);
    }

    private async ValueTask<Stream> Connect(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        var (host, port) = (context.DnsEndPoint.Host, context.DnsEndPoint.Port);
        var addresses = IPAddress.TryParse(host.Trim('[', ']'), out var literal) ? [literal] : await policy.Resolve(host, cancellation);
        if (addresses.Length == 0) { throw new CapabilityException("connection", $"{host} has no address."); }

        // One bad address among several is an attack on a resolver that takes turns: all are refused.
        if (addresses.FirstOrDefault(a => !policy.Allows(a, port)) is { } bad) { throw new CapabilityException("denied", $"{host} leads to {bad}, which is not the public Internet."); }

        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(addresses, port, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
