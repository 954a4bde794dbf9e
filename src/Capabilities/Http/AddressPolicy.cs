using System.Net;

namespace Platform.Capabilities.Http;

/// <summary>Which addresses may be connected to. Everything that is not plainly the public Internet is refused.</summary>
internal sealed class AddressPolicy(Func<IPAddress, int, bool> allows, Func<string, CancellationToken, Task<IPAddress[]>> resolve)
{
    public static readonly AddressPolicy Production = new((address, _) => IsPublic(address), Dns.GetHostAddressesAsync);

    // IANA's special-purpose registries, IPv4.
    private static readonly IPNetwork[] Special4 =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24",
            "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        }.Select(n => IPNetwork.Parse(n)),
    ];

    // Only 2000::/3 is given out at all; of it these lead elsewhere: Teredo and the protocol block, documentation, 6to4, documentation again.
    private static readonly IPNetwork Global6 = IPNetwork.Parse("2000::/3");

    private static readonly IPNetwork[] Special6 = [.. new[] { "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20" }.Select(n => IPNetwork.Parse(n))];

    public bool Allows(IPAddress address, int port) => allows(address, port);

    public Task<IPAddress[]> Resolve(string host, CancellationToken cancellation) => resolve(host, cancellation);

    /// <summary>IPv4 within IPv6 (mapped, NAT64, 6to4) is refused as such: the IPv4 form is there for those who mean it.</summary>
    public static bool IsPublic(IPAddress address) => address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
        ? !Special4.Any(n => n.Contains(address))
        : !address.IsIPv4MappedToIPv6 && address.ScopeId == 0 && Global6.Contains(address) && !Special6.Any(n => n.Contains(address));
}
