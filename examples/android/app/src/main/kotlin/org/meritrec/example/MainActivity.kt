package org.meritrec.example

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import java.io.File
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import org.json.JSONArray
import org.meritrec.bridge.Meritrec

/**
 * One screen: ten recommendations with their reasons, and two buttons for each.
 *
 * The model bundle lies in the app's assets as `bundle.zip` (`meritrec-server export`, `sign`, then `zip -0 -j`). All
 * calls of the SDK block, so they run on one thread of their own. What is recorded is durable at once, so nothing has to be
 * closed when the system ends the process.
 */
class MainActivity : Activity() {
    private lateinit var list: LinearLayout

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        list = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        val screen = ScrollView(this)
        screen.fitsSystemWindows = true
        screen.addView(list)
        setContentView(screen)
        say(getString(R.string.loading))
        inBackground {}
    }

    /** The bundle as a file: the SDK copies it into its own folder at first use, and looks whether it is newer later. */
    private fun bundleFile(): File {
        val file = File(cacheDir, "bundle.zip")
        assets.open("bundle.zip").use { from -> file.outputStream().use { to -> from.copyTo(to) } }
        return file
    }

    /** Does something that blocks, and then shows the ranking, or why there is none. */
    private fun inBackground(change: () -> Unit) {
        work.execute {
            try {
                open()
                change()
                val picks = device.recommend(10)
                runOnUiThread { show(picks) }
            } catch (error: Exception) {
                runOnUiThread { say(error.message ?: error.toString()) }
            }
        }
    }

    private fun open() {
        if (opened) return
        device.ask(
            "open",
            "path" to File(filesDir, "meritrec").path,
            "bundle" to bundleFile().path,
            "trusted_keys" to JSONArray(listOf(getString(R.string.publisher_key))),
            "security_provider" to "org.bouncycastle.jce.provider.BouncyCastleProvider",
        )
        opened = true
    }

    private fun say(text: String) {
        list.removeAllViews()
        list.addView(TextView(this).apply { this.text = text })
    }

    private fun show(picks: List<Pick>) {
        list.removeAllViews()
        for (pick in picks) {
            list.addView(TextView(this).apply { text = pick.title; textSize = 20f })
            list.addView(TextView(this).apply { text = pick.reasons.joinToString("\n") })
            val buttons = LinearLayout(this)
            buttons.addView(button(R.string.like, pick, "like"))
            buttons.addView(button(R.string.skip, pick, "skip"))
            list.addView(buttons)
        }
    }

    private fun button(label: Int, pick: Pick, action: String) =
        Button(this).apply {
            setText(label)
            contentDescription = "${getString(label)}: ${pick.title}"
            setOnClickListener { inBackground { device.ask("record", "item" to pick.item, "action" to action) } }
        }

    /** One device for the whole process: activities come and go, and its folder is open only once. */
    private companion object {
        val work: ExecutorService = Executors.newSingleThreadExecutor()
        val device by lazy { Meritrec(null) } // no carrier: this screen joins no peers; SocketCarrier would be one
        var opened = false // used on `work` only
    }
}
