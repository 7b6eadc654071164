/* Files carried inside the program, as bytes between two symbols of assets.h.
 *
 * The typefaces and the three files of the page for browsers are always there. The Makefile names the model and the class
 * labels (MV_EMBED_*) if there are any; without one, its two symbols are equal: an empty asset.
 */
    .section .rodata
    .macro asset name
    .global mv_asset_\name
    .balign 64
mv_asset_\name:
    .endm
    .macro asset_end name
    .global mv_asset_\name\()_end
mv_asset_\name\()_end:
    .byte 0
    .endm

    asset inter_regular
    .incbin "assets/fonts/Inter-Regular.otf"
    asset_end inter_regular

    asset inter_medium
    .incbin "assets/fonts/Inter-Medium.otf"
    asset_end inter_medium

    asset inter_semibold
    .incbin "assets/fonts/Inter-SemiBold.otf"
    asset_end inter_semibold

    asset jetbrains_mono
    .incbin "assets/fonts/JetBrainsMono-Regular.ttf"
    asset_end jetbrains_mono

    asset html_page
    .incbin "assets/report.html"
    asset_end html_page

    asset html_index
    .incbin "assets/index.html"
    asset_end html_index

    asset html_style
    .incbin "assets/report.css"
    asset_end html_style

    asset html_script
    .incbin "assets/report.js"
    asset_end html_script

    asset labels
#ifdef MV_EMBED_LABELS
    .incbin MV_EMBED_LABELS
#endif
    asset_end labels

    asset model
#ifdef MV_EMBED_MODEL
    .incbin MV_EMBED_MODEL
#endif
    asset_end model

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
