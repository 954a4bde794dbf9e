using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>A way to PostgreSQL that can be cut: connections in use break, and new ones are refused.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly EndPoint server;
    private readonly Lock gate = new();
    private readonly List<Socket> open = [];
    private readonly List<Task> carrying = [];
    private readonly Socket listener;
    private readonly Task accepting;
    private bool cut;

    public Relay(string connectionString)
    {
        var direct = new NpgsqlConnectionStringBuilder(connectionString);
        server = direct.Host!.StartsWith('/') ? new UnixDomainSocketEndPoint(Path.Combine(direct.Host, $".s.PGSQL.{direct.Port}")) : new DnsEndPoint(direct.Host, direct.Port);
        listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        ConnectionString = new NpgsqlConnectionStringBuilder(connectionString) { Host = "127.0.0.1", Port = ((IPEndPoint)listener.LocalEndPoint!).Port, SslMode = SslMode.Disable }.ConnectionString;
        accepting = Task.Run(Accept);
    }

    public string ConnectionString { get; }

    public void Cut()
    {
        lock (gate)
        {
            cut = true;
            foreach (var socket in open) { socket.Dispose(); }
            open.Clear();
        }
    }

    public void Heal()
    {
        lock (gate) { cut = false; }
    }

    public async ValueTask DisposeAsync()
    {
        Cut();
        listener.Dispose();
        await accepting;
        await Task.WhenAll(carrying);
    }

    private async Task Accept()
    {
        while (true)
        {
            Socket client;
            try { client = await listener.AcceptAsync(); }
            catch (SocketException) { return; }
            catch (ObjectDisposedException) { return; }

            var onward = new Socket(server.AddressFamily == AddressFamily.Unspecified ? AddressFamily.InterNetwork : server.AddressFamily, SocketType.Stream, server is UnixDomainSocketEndPoint ? ProtocolType.Unspecified : ProtocolType.Tcp);
            lock (gate)
            {
                if (cut)
                {
                    Close(client, onward);
                    continue;
                }

                open.AddRange([client, onward]);
            }

            carrying.Add(Carry(client, onward));
        }
    }

    private async Task Carry(Socket client, Socket onward)
    {
        try { await onward.ConnectAsync(server); }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
            Close(client, onward);
            return;
        }

        await Task.WhenAll(Copy(client, onward), Copy(onward, client));
    }

    private static async Task Copy(Socket from, Socket to)
    {
        var buffer = new byte[32 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer) is > 0 and var count) { await to.SendAsync(buffer.AsMemory(0, count)); }
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException) { /* Either side has left. */ }
        Close(from, to);
    }

    /// <summary>Whoever ends first ends the other way too.</summary>
    private static void Close(Socket one, Socket other)
    {
        one.Close();
        other.Close();
    }
}
