using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Platform.Capabilities.Http;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Tests;

public sealed class A_web_page : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly Dictionary<string, byte[]> answers = [];
    private readonly List<string> requests = [];
    private readonly Task serving;

    public A_web_page()
    {
        listener.Start();
        serving = Serve();
    }

    private int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    private HttpGet Local() => new(new AddressPolicy((address, port) => IPAddress.IsLoopback(address) && port == Port, (_, _) => Task.FromResult<IPAddress[]>([IPAddress.Loopback])));

    private static CapabilityCall Call(string url, string more = "", params string[] network) =>
        new("http.get", JsonElement.Parse($$"""{ "url": {{JsonSerializer.Serialize(url)}}{{more}} }"""), new Grant([], [], network.Length == 0 ? ["*"] : network), "key");

    private static async Task<JsonElement> Get(HttpGet get, CapabilityCall call)
    {
        var plan = await get.Plan(call, CancellationToken.None);
        return (await get.Perform(call, plan, CancellationToken.None)).Result;
    }

    private void Answer(string path, string head, byte[]? body = null) =>
        answers[path] = [.. Encoding.ASCII.GetBytes($"HTTP/1.1 {head}\r\nContent-Length: {body?.Length ?? 0}\r\nConnection: close\r\n\r\n"), .. body ?? []];

    [Fact]
    public async Task is_got_with_its_headers_and_through_redirects()
    {
        Answer("/a", "302 Found\r\nLocation: /b");
        Answer("/b", "200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nSet-Cookie: a=b", "hällo"u8.ToArray());
        using var get = Local();
        var page = await Get(get, Call($"http://site.test:{Port}/a", """, "headers": { "Accept": "text/plain" }"""));
        Assert.Equal("hällo", page.GetProperty("text").GetString());
        Assert.Equal(200, page.GetProperty("status").GetInt32());
        Assert.EndsWith("/b", page.GetProperty("url").GetString(), StringComparison.Ordinal);
        Assert.False(page.GetProperty("headers").TryGetProperty("set-cookie", out _));
        Assert.All(requests, r => Assert.DoesNotContain("Cookie", r, StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task is_bounded_after_unpacking_in_redirects_and_in_headers()
    {
        using var bomb = new MemoryStream();
        await using (var gzip = new GZipStream(bomb, CompressionLevel.Fastest, leaveOpen: true)) { await gzip.WriteAsync(new byte[HttpGet.MaxBytes + 1], TestContext.Current.CancellationToken); }
        Answer("/bomb", "200 OK\r\nContent-Encoding: gzip", bomb.ToArray());
        Answer("/loop", "302 Found\r\nLocation: /loop");
        Answer("/heads", $"200 OK\r\nX: {new string('x', HttpGet.MaxHeaderKilobytes * 1024)}");
        using var get = Local();
        Assert.Equal("too_large", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call($"http://site.test:{Port}/bomb")))).Type);
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call($"http://site.test:{Port}/loop")))).Type);
        Assert.Equal(HttpGet.MaxRedirects + 1, requests.Count(r => r.Contains("/loop", StringComparison.Ordinal)));
        Assert.Equal("connection", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call($"http://site.test:{Port}/heads")))).Type);
    }

    [Theory]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://[::1]/")]
    [InlineData("http://elsewhere.test/")]
    [InlineData("file:///etc/passwd")]
    [InlineData("//user@site.test/")]
    public async Task that_redirects_to_where_nothing_was_granted_is_refused(string target)
    {
        Answer("/a", $"302 Found\r\nLocation: {target}");
        using var get = Local();
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call($"http://site.test:{Port}/a", "", "site.test")))).Type);
        using var any = Local();
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(any, Call($"http://site.test:{Port}/a")))).Type);
    }

    [Theory]
    [InlineData("Host")]
    [InlineData("Authorization")]
    [InlineData("Cookie")]
    [InlineData("Metadata-Flavor")]
    public async Task is_asked_for_without_headers_that_carry_power(string header)
    {
        using var get = Local();
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call($"http://site.test:{Port}/", $$""", "headers": { "{{header}}": "x" }""")))).Type);
    }

    public static TheoryData<string> Hostile =>
    [
        "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://0/", "http://0.0.0.0/",
        "http://10.0.0.1/", "http://10.255.255.255/", "http://100.64.0.1/", "http://100.127.255.255/", "http://169.254.169.254/", "http://0xa9fea9fe/", "http://2852039166/", "http://172.16.0.1/", "http://172.31.255.255/",
        "http://192.0.0.1/", "http://192.0.2.1/", "http://192.88.99.1/", "http://192.168.0.1/", "http://198.18.0.1/", "http://198.19.255.255/", "http://198.51.100.1/", "http://203.0.113.1/", "http://224.0.0.1/", "http://239.255.255.255/",
        "http://240.0.0.1/", "http://255.255.255.255/", "http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::ffff:8.8.8.8]/", "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::1]/", "http://[100::1]/", "http://[2001::1]/", "http://[2001:db8::1]/", "http://[2002:7f00:1::]/", "http://[3fff::1]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[fe80::1]/",
        "http://[fec0::1]/", "http://[ff02::1]/", "http://①②⑦.0.0.1/", "http://127.0.0.1./", "http://user@8.8.8.8/", "http://8.8.8.8:80@127.0.0.1/", "ftp://8.8.8.8/", "gopher://8.8.8.8/", "file:///etc/passwd", "unix:/run/x", "data:,x",
        "http://8.8.8.8\\@127.0.0.1/", "http://127.0.0.1\t/", "http:// 127.0.0.1/", "/etc/passwd", "",
    ];

    [Theory, MemberData(nameof(Hostile))]
    public async Task at_a_hostile_address_is_never_asked_for(string url)
    {
        using var get = new HttpGet(new AddressPolicy((address, _) => AddressPolicy.IsPublic(address), (_, _) => Task.FromResult<IPAddress[]>([IPAddress.Loopback])));
        Assert.Contains((await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call(url)))).Type, new[] { "denied", "invalid" });
    }

    [Fact]
    public async Task behind_a_name_that_changes_its_address_is_refused()
    {
        var asked = 0;
        using var get = new HttpGet(new AddressPolicy((address, _) => AddressPolicy.IsPublic(address), (_, _) =>
            Task.FromResult<IPAddress[]>(asked++ == 0 ? [IPAddress.Parse("8.8.8.8"), IPAddress.Parse("127.0.0.1")] : [IPAddress.Loopback])));
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call("http://rebinding.test/")))).Type);
        Assert.Equal("denied", (await Assert.ThrowsAsync<CapabilityException>(() => Get(get, Call("http://rebinding.test/")))).Type);
        Assert.Equal(2, asked);
    }

    [Theory]
    [InlineData("api.test", "api.test", true)]
    [InlineData("API.test", "api.TEST.", true)]
    [InlineData("*.api.test", "a.b.api.test", true)]
    [InlineData("*.api.test", "api.test", false)]
    [InlineData("*.api.test", "evilapi.test", false)]
    [InlineData("api.test", "a.api.test", false)]
    [InlineData("api.test", "api.test.evil.test", false)]
    public void needs_a_grant_of_its_host(string granted, string host, bool allowed)
    {
        var refusal = Record.Exception(() => HttpGet.Check($"https://{host}/", new Grant([], [], [granted])));
        Assert.Equal(allowed, refusal is null);
    }

    [Fact]
    public void of_the_public_internet_is_allowed()
    {
        Assert.All(["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1"], a => Assert.True(AddressPolicy.IsPublic(IPAddress.Parse(a)), a));
    }

    public async ValueTask DisposeAsync()
    {
        listener.Stop();
        await serving;
        listener.Dispose();
    }

    private async Task Serve()
    {
        try
        {
            while (true)
            {
                using var connection = await listener.AcceptTcpClientAsync();
                await using var stream = connection.GetStream();
                var buffer = new byte[16 * 1024];
                var count = 0;
                while (Encoding.ASCII.GetString(buffer, 0, count) is var head && !head.Contains("\r\n\r\n", StringComparison.Ordinal))
                {
                    var read = await stream.ReadAsync(buffer.AsMemory(count));
                    if (read == 0) { break; }
                    count += read;
                }

                var request = Encoding.ASCII.GetString(buffer, 0, count);
                requests.Add(request);
                if (request.Split(' ') is not [_, var path, ..]) { continue; }
                try { await stream.WriteAsync(answers.GetValueOrDefault(path, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"u8.ToArray())); }
                catch (IOException) { /* The client has had enough. */ }
            }
        }
        catch (Exception stopped) when (stopped is SocketException or ObjectDisposedException or InvalidOperationException) { /* The test is over. */ }
    }
}
