using System.Globalization;
using System.Net;
using Platform.Messaging;

namespace Platform.SelfHost.Http;

/// <summary>Where the server listens: an address and a port, or a Unix socket.</summary>
/// <param name="Socket">Absolute path; null: <paramref name="Endpoint"/> counts.</param>
internal sealed record ListenAddress(IPEndPoint? Endpoint, string? Socket)
{
    public const string Default = "127.0.0.1:5080";

    private const string SocketPrefix = "unix:";

    /// <summary>Reached from this machine only.</summary>
    public bool IsLocal => Endpoint is null || IPAddress.IsLoopback(Endpoint.Address);

    /// <exception cref="ProblemException">It is no address.</exception>
    public static ListenAddress Parse(string text)
    {
        if (text.StartsWith(SocketPrefix, StringComparison.Ordinal) && text.Length > SocketPrefix.Length) { return new ListenAddress(null, Path.GetFullPath(text[SocketPrefix.Length..])); }

        var at = text.LastIndexOf(':');
        if (at > 0 && ushort.TryParse(text.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            var host = text[..at];
            if (host == "localhost") { return new ListenAddress(new IPEndPoint(IPAddress.Loopback, port), null); }
            var bracketed = host.StartsWith('[') && host.EndsWith(']');
            if (IPAddress.TryParse(bracketed ? host[1..^1] : host, out var address) && bracketed == (address.AddressFamily is System.Net.Sockets.AddressFamily.InterNetworkV6))
            {
                return new ListenAddress(new IPEndPoint(address, port), null);
            }
        }

        throw new ProblemException(new Problem("serve.listen", $"'{text}' is no address to listen on: write 127.0.0.1:5080, [::1]:5080, 0.0.0.0:5080 or unix:/run/platform.sock."));
    }

    public override string ToString() => Socket is null ? $"http://{Endpoint}" : SocketPrefix + Socket;
}
